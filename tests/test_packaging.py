"""What a wheel takes along is listed by hand in pyproject.toml; here the lists are compared with the tree."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
# Code that the list of packages or the list of extensions brings, and what a build leaves behind.
NO_DATA = {".py", ".pyc", ".pyx", ".c", ".so", ".pyd"}


def files() -> list[Path]:
    """Every file under gateway/, relative to the root."""
    found = os.walk(ROOT / "gateway", followlinks=True)
    return [(Path(place) / name).relative_to(ROOT) for place, _, names in found for name in names]


def directory(package: str) -> Path:
    return Path(*package.split("."))


def test_every_package_is_listed_in_order():
    packages = [".".join(file.parent.parts) for file in files() if file.name == "__init__.py"]
    assert SETUPTOOLS["packages"] == sorted(packages)


def test_every_file_that_is_no_code_is_package_data():
    listed = {
        file.relative_to(ROOT)
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for file in (ROOT / directory(package)).glob(pattern)
    }
    assert listed == {file for file in files() if file.suffix not in NO_DATA}


@pytest.mark.parametrize(
    ("package", "pattern"),
    [(package, pattern) for package, patterns in SETUPTOOLS["package-data"].items() for pattern in patterns],
)
def test_no_pattern_of_package_data_is_left_over(package: str, pattern: str):
    assert package in SETUPTOOLS["packages"]
    assert any((ROOT / directory(package)).glob(pattern))
