"""From a fresh checkout to a running demonstration or test: `python3 -m gateway.bootstrap demo|test [ARGUMENTS]`.

Makes `.venv` in the checkout, installs the project there (editable, with its compiled modules in place), then runs the
demonstration or every check. Uses the standard library only, and syntax that an old Python can read, since it is what
tells the user that the Python is too old. Never touches anything outside the checkout.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
MIN_PYTHON = (3, 11)
REMEDY = "apt install python3 python3-venv python3-dev gcc g++"
USAGE = """usage: python3 -m gateway.bootstrap demo|test [ARGUMENTS]

  demo   install what the gateway needs, then run `gateway demo ARGUMENTS`
  test   install the tools too, then run every check; ARGUMENTS go to pytest"""
TAIL_LINES = 30
POLL_S = 0.2
REPORT_EVERY_S = 15.0
# What a user's shell may carry that would lead pip or Python out of .venv.
FOREIGN_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")
CHECKS = (
    ("ruff check", ("ruff", "check", ".")),
    ("ruff format", ("ruff", "format", "--check", ".")),
    ("cython-lint", ("cython-lint", "native")),
    ("mypy", ("mypy",)),
    ("pytest", ("python", "-m", "pytest")),
    ("simulator", ("gateway", "sim", "--minutes", "1.5", "--first", "1000000", "--no-coverage")),
    ("wild clocks", ("gateway", "sim", "--minutes", "0.5", "--first", "1000000", "--no-coverage", "--clocks", "wild")),
)


class BootstrapError(Exception):
    """Something is missing or failed; the text says what, and the remedy."""


def main(arguments: list[str]) -> int:
    """Prepares the checkout and runs `demo` or `test`; the exit status. `demo` replaces this process."""
    if not arguments or arguments[0] not in ("demo", "test"):
        print(USAGE, file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    command, rest = arguments[0], arguments[1:]
    try:
        require_host(with_tests=command == "test")
        Installation(ROOT).prepare(with_tests=command == "test")
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbootstrap: interrupted; run it again to go on", file=sys.stderr)
        return 130
    if command == "demo":
        sys.stdout.flush()
        python = str(ROOT / ".venv/bin/python")
        os.execve(python, [python, "-m", "gateway", "demo", *rest], own_environment(ROOT))
    return run_checks(ROOT, rest)


def require_host(with_tests: bool) -> None:
    """Raises BootstrapError that names everything that this host lacks."""
    lacking = missing_from_host(with_tests)
    if lacking:
        raise BootstrapError("this host lacks:\n  " + "\n  ".join(lacking) + f"\nOn Debian or Ubuntu: {REMEDY}")


def missing_from_host(with_tests: bool) -> list[str]:
    """One line for each thing that the build needs and this host has not."""
    lacking = []
    if sys.platform != "linux":
        lacking.append(f"Linux (found {sys.platform}): the gateway uses epoll, recvmmsg and mmap as Linux has them")
    if sys.version_info[:2] < MIN_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        lacking.append(f"Python 3.11 or newer (found {found} at {sys.executable}): run this with a newer python3")
    lacking += [
        f"Python's module {name} (package python3-venv)" for name in ("venv", "ensurepip") if find_spec(name) is None
    ]
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if not _is_there(compiler):
        lacking.append(f"a C compiler (looked for {compiler!r}; package gcc)")
    if with_tests and not _is_there(os.environ.get("CXX") or "g++"):
        lacking.append("a C++ compiler, for quickfix (looked for 'g++'; package g++)")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        lacking.append(f"Python's C headers (looked for {header}; package python3-dev)")
    return lacking


def _is_there(command: str) -> bool:
    words = shlex.split(command)
    return bool(words) and shutil.which(words[0]) is not None


def own_environment(root: Path) -> dict[str, str]:
    """This process's environment with `.venv` in front and nothing that leads out of it."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    environment["VIRTUAL_ENV"] = str(root / ".venv")
    environment["PATH"] = f"{root / '.venv/bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PIP_NO_INPUT"] = "1"
    return environment


def fingerprint(root: Path) -> str:
    """Hash of what the installation depends on: this Python, this place, the build files and the native sources."""
    digest = hashlib.sha256(f"{sys.version}\n{root}\n".encode())
    sources = [root / "pyproject.toml", root / "setup.py"]
    sources += sorted(path for path in (root / "native").iterdir() if path.suffix in (".pyx", ".pxd", ".pxi", ".h"))
    for path in sources:
        digest.update(f"{path.name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """Holds the lock file `path`, waiting for whoever holds it. A child that inherits the file keeps the lock too."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another bootstrap is at work in this checkout; waiting for it ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


class Installation:
    """`.venv` of one checkout: what it needs, what is there, and how to get from one to the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.log = self.venv / "bootstrap.log"
        self.building = self.venv / "building"
        self.made_with = self.venv / "made-with"

    def stamp(self, with_tests: bool) -> Path:
        """The file whose content is the fingerprint of the finished installation."""
        return self.venv / ("stamp-test" if with_tests else "stamp-demo")

    def is_ready(self, with_tests: bool) -> bool:
        """Whether nothing has to be done. An installation for tests serves the demonstration as well."""
        wanted = fingerprint(self.root)
        stamps = [self.stamp(True)] if with_tests else [self.stamp(True), self.stamp(False)]
        return any(_text(stamp) == wanted for stamp in stamps) and not self.unbuilt()

    def unbuilt(self) -> list[str]:
        """Names of the native modules that have no compiled form beside them."""
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        sources = sorted((self.root / "native").glob("*.pyx"))
        return [source.stem for source in sources if not source.with_suffix(suffix).exists()]

    def prepare(self, with_tests: bool) -> None:
        """Installs what is missing. Raises BootstrapError."""
        if self.is_ready(with_tests):
            return
        with locked(self.root / ".venv.lock") as lock:
            if self.is_ready(with_tests):  # whoever held the lock did it
                return
            started = time.monotonic()
            wanted = fingerprint(self.root)
            self._make_venv(lock)
            self._build(lock)
            if with_tests:
                self._install_tools(lock)
            self.stamp(with_tests).write_text(wanted)
            print(f"ready after {time.monotonic() - started:.0f} s", flush=True)

    def _make_venv(self, lock: IO[str]) -> None:
        identity = f"{sys.version}\n{self.root}\n"
        if _text(self.made_with) == identity:
            return
        shutil.rmtree(self.venv, ignore_errors=True)
        self.venv.mkdir()
        self._step("making .venv", [sys.executable, "-m", "venv", str(self.venv)], lock)
        self.made_with.write_text(identity)

    def _build(self, lock: IO[str]) -> None:
        # A run that was killed may have left half a file that looks finished to the build.
        if self.building.exists():
            self._remove_built()
        self._pip("installing the build's tools", ["install", *self._requirements("build")], lock)
        self.building.touch()
        unbuilt = self.unbuilt()
        what = f"compiling {len(unbuilt)} native modules" if unbuilt else "bringing native modules up to date"
        self._pip(
            f"installing the gateway, {what}",
            ["install", "--no-build-isolation", "--editable", str(self.root)],
            lock,
        )
        if self.unbuilt():
            raise BootstrapError(f"the build left out {', '.join(self.unbuilt())}; see {self.log}")
        self.building.unlink()

    def _remove_built(self) -> None:
        for source in (self.root / "native").glob("*.pyx"):
            source.with_suffix(".c").unlink(missing_ok=True)
            for binary in source.parent.glob(f"{source.stem}.*.so"):
                binary.unlink()

    def _install_tools(self, lock: IO[str]) -> None:
        tools = self._requirements("test")
        quickfix = [tool for tool in tools if tool.startswith("quickfix")]
        self._pip("installing the tests' tools", ["install", *(set(tools) - set(quickfix))], lock)
        self._pip("installing quickfix: compiled from source, once, for about 3 minutes", ["install", *quickfix], lock)

    def _requirements(self, which: str) -> list[str]:
        import tomllib  # noqa: PLC0415  (an older Python, which has none, has been told so before)

        project = tomllib.loads((self.root / "pyproject.toml").read_text())
        found = project["build-system"]["requires"] if which == "build" else _extra(project, which)
        return [str(requirement) for requirement in found]

    def _pip(self, what: str, arguments: list[str], lock: IO[str]) -> None:
        self._step(what, [str(self.venv / "bin/python"), "-m", "pip", *arguments], lock)

    def _step(self, what: str, command: list[str], lock: IO[str]) -> None:
        """Runs `command` with its output in the log. Raises BootstrapError with the log's end."""
        with self.log.open("a") as log:
            log.write(f"\n== {what}: {shlex.join(command)}\n")
            log.flush()
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=own_environment(self.root),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
            )
            status = _wait_showing(what, process)
        if status:
            if status > 0:  # it ended by itself: no file is half written
                self.building.unlink(missing_ok=True)
            raise BootstrapError(f"{what} failed (status {status}). The end of {self.log}:\n{tail(self.log)}")


def _extra(project: dict[str, dict[str, dict[str, list[str]]]], name: str) -> list[str]:
    return project["project"]["optional-dependencies"][name]


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def tail(path: Path) -> str:
    """The last lines of a log."""
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join(f"  | {line}" for line in lines[-TAIL_LINES:])


def _wait_showing(what: str, process: subprocess.Popen[bytes]) -> int:
    """Waits for `process`, showing for how long: in place on a terminal, else every REPORT_EVERY_S."""
    live = sys.stdout.isatty()
    started = time.monotonic()
    told = started
    print(f"{what} ...", end="" if live else "\n", flush=True)
    try:
        while process.poll() is None:
            time.sleep(POLL_S)
            now = time.monotonic()
            if live:
                print(f"\r{what} ... {now - started:.0f} s", end="", flush=True)
            elif now - told >= REPORT_EVERY_S:
                print(f"  ... {now - started:.0f} s", flush=True)
                told = now
    except KeyboardInterrupt:
        process.wait()  # the terminal has sent it the interrupt as well
        raise
    finally:
        if live:
            print(flush=True)
    return process.returncode


def run_checks(root: Path, arguments: list[str]) -> int:
    """Runs every check, one after the other, and sums up; 1 if any failed. `arguments` are for pytest."""
    results: list[tuple[str, int, float]] = []
    for name, command in CHECKS:
        print(f"\n=== {name}", flush=True)
        extra = arguments if name == "pytest" else []
        started = time.monotonic()
        program = str(root / ".venv/bin" / command[0])
        status = subprocess.call([program, *command[1:], *extra], cwd=root, env=own_environment(root))
        results.append((name, status, time.monotonic() - started))
    print("\n=== summary")
    for name, status, seconds in results:
        print(f"{name:12} {'passed' if status == 0 else f'FAILED (status {status})'} in {seconds:.0f} s")
    return 1 if any(status for _, status, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
