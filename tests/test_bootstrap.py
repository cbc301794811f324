"""The bootstrap's logic, on a small checkout of its own; nothing is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest

from gateway import bootstrap
from gateway.bootstrap import BootstrapError, Installation

ROOT = Path(__file__).resolve().parents[1]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one native module, compiled, and an empty .venv."""
    (tmp_path / "native").mkdir()
    (tmp_path / ".venv").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "setup.py").write_text("")
    (tmp_path / "native/codec.pyx").write_text("x = 1\n")
    (tmp_path / "native/codec.pxd").write_text("")
    (tmp_path / f"native/codec{SUFFIX}").write_text("")
    return tmp_path


def finish(checkout, with_tests):
    Installation(checkout).stamp(with_tests).write_text(bootstrap.fingerprint(checkout))


def step(checkout, *code):
    """Runs Python code as a step of the installation."""
    with bootstrap.locked(checkout / ".venv.lock") as lock:
        Installation(checkout)._step("testing", [sys.executable, "-c", *code], lock)


def test_it_needs_nothing_but_the_standard_library():
    """-S leaves out site-packages, -I the user's own."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import gateway.bootstrap"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_without_a_command_it_says_how_it_is_used(capsys):
    assert bootstrap.main([]) == 2
    assert bootstrap.main(["install"]) == 2
    assert bootstrap.main(["--help"]) == 0
    assert "demo|test" in capsys.readouterr().err


def test_a_finished_installation_has_nothing_left_to_do(checkout):
    installation = Installation(checkout)
    assert not installation.is_ready(with_tests=False)
    finish(checkout, with_tests=False)
    assert installation.is_ready(with_tests=False)
    assert not installation.is_ready(with_tests=True)


def test_an_installation_for_tests_serves_the_demonstration(checkout):
    finish(checkout, with_tests=True)
    assert Installation(checkout).is_ready(with_tests=False)


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.py", "native/codec.pyx", "native/codec.pxd"])
def test_a_change_of_what_is_built_makes_it_build_again(checkout, name):
    finish(checkout, with_tests=True)
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    assert not Installation(checkout).is_ready(with_tests=True)


def test_a_new_native_module_makes_it_build_again(checkout):
    finish(checkout, with_tests=True)
    (checkout / "native/session.pyx").write_text("")
    assert not Installation(checkout).is_ready(with_tests=True)
    assert Installation(checkout).unbuilt() == ["session"]


def test_a_compiled_module_that_is_gone_makes_it_build_again(checkout):
    finish(checkout, with_tests=True)
    (checkout / f"native/codec{SUFFIX}").unlink()
    assert not Installation(checkout).is_ready(with_tests=True)


def test_what_is_ready_is_not_touched(checkout, monkeypatch):
    finish(checkout, with_tests=False)
    monkeypatch.setattr(Installation, "_step", lambda *_: pytest.fail("a step was run"))
    Installation(checkout).prepare(with_tests=False)


def test_a_build_that_was_killed_is_begun_anew(checkout):
    (checkout / "native/codec.c").write_text("half")
    Installation(checkout)._remove_built()
    assert not (checkout / "native/codec.c").exists()
    assert not (checkout / f"native/codec{SUFFIX}").exists()
    assert (checkout / "native/codec.pyx").exists()


def test_a_second_run_waits_for_the_first_and_finds_its_work_done(checkout, capsys, monkeypatch):
    monkeypatch.setattr(Installation, "_step", lambda *_: pytest.fail("a step was run"))
    second = threading.Thread(target=Installation(checkout).prepare, args=(False,))
    with bootstrap.locked(checkout / ".venv.lock"):
        second.start()
        while "waiting" not in capsys.readouterr().out:
            second.join(0.01)
        finish(checkout, with_tests=False)
    second.join()


def test_a_step_that_fails_shows_the_end_of_its_output(checkout):
    with pytest.raises(BootstrapError) as caught:
        step(checkout, "import sys; [print('line', i) for i in range(100)]; sys.exit('no route to host')")
    text = str(caught.value)
    assert "testing failed (status 1)" in text
    assert "no route to host" in text
    assert "line 99" in text
    assert "line 9\n" not in text
    assert str(checkout / ".venv/bootstrap.log") in text


def test_a_step_that_ends_by_itself_leaves_nothing_half_built_and_one_that_is_killed_may(checkout):
    building = Installation(checkout).building
    building.touch()
    with pytest.raises(BootstrapError):
        step(checkout, "import os; os.kill(os.getpid(), 9)")
    assert building.exists()
    with pytest.raises(BootstrapError):
        step(checkout, "raise SystemExit(1)")
    assert not building.exists()


def test_a_step_sees_nothing_that_leads_out_of_the_environment(checkout, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    environment = bootstrap.own_environment(checkout)
    assert not {"PYTHONPATH", "PIP_USER"} & set(environment)
    assert environment["PATH"].startswith(str(checkout / ".venv/bin"))


def test_this_host_lacks_nothing():
    """The tests run where everything is there: a false alarm would lock users out."""
    assert bootstrap.missing_from_host(with_tests=True) == []


@pytest.mark.parametrize("command", ["demo", "test"])
def test_everything_that_a_host_lacks_is_named_with_its_remedy(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(bootstrap, "find_spec", lambda name: None)
    monkeypatch.setattr(bootstrap.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    monkeypatch.setenv("CXX", "no-such-compiler++")
    assert bootstrap.main([command]) == 1
    text = capsys.readouterr().err
    for part in ("found 3.9.18", "venv", "ensurepip", "no-such-compiler", str(tmp_path / "Python.h"), "apt install"):
        assert part in text
    assert ("C++ compiler" in text) == (command == "test")


def test_every_check_runs_and_one_that_fails_is_told(monkeypatch, capsys):
    called = []

    def call(command, **_):
        called.append(command)
        return 3 if command[0].endswith("/mypy") else 0

    monkeypatch.setattr(bootstrap.subprocess, "call", call)
    assert bootstrap.run_checks(ROOT, ["-k", "codec"]) == 1
    assert len(called) == len(bootstrap.CHECKS)
    assert [command[-2:] for command in called if "pytest" in command] == [["-k", "codec"]]
    summary = capsys.readouterr().out.partition("=== summary")[2]
    assert "FAILED (status 3)" in summary
    assert summary.count("passed") == len(bootstrap.CHECKS) - 1


def test_checks_that_all_pass_are_a_success(monkeypatch):
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command, **_: 0)
    assert bootstrap.run_checks(ROOT, []) == 0
