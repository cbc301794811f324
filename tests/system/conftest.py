"""Tests here are stories about real processes: coroutines, each with a pair of its own."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.stage import Stage

ENGINES = ("native", "quickfix")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs coroutine tests."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(params=ENGINES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """A pair and a broker that are not running yet, once with each engine of the broker."""
    return Stage(tmp_path, engine=request.param)


@pytest.fixture
def native_stage(tmp_path: Path) -> Stage:
    """The same with the native engine only, where the broker's engine makes no difference."""
    return Stage(tmp_path, engine="native")


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[..., Stage]:
    """Makes a stage with options of its own."""
    return lambda **options: Stage(tmp_path, **options)
