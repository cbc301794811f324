"""Half a minute of the random runs, and whether they would see what they look for."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.fuzz.driver import watch
from tests.fuzz.mutate import MAX_INPUT_BYTES, Mutator
from tests.fuzz.targets import TARGETS, corpus_of, target_named

SECONDS = float(os.environ.get("GATEWAY_FUZZ_SECONDS", "4"))  # of each target
FEW = {"input_timeout_s": 1.0, "growth_mib": 64}


class Harmless:
    """A target on which nothing can be found."""

    tokens = (b"token",)

    def seeds(self) -> list[bytes]:
        return [b"seed"]

    def run(self, data: bytes) -> None:
        pass


class Raises(Harmless):
    def run(self, data: bytes) -> None:
        assert b"token" not in data, "token"


class Crashes(Harmless):
    def run(self, data: bytes) -> None:
        if b"token" in data:
            os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(Harmless):
    def run(self, data: bytes) -> None:
        if b"token" in data:
            time.sleep(60)


class Grows(Harmless):
    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def run(self, data: bytes) -> None:
        if b"token" in data:
            self.kept.append(os.urandom(1 << 20))
            time.sleep(0.005)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_a_target_is_fed_breaks_it(name: str, tmp_path: Path):
    found = watch(name, SECONDS, 1, tmp_path)
    assert found.problem is None, f"{found.problem}\n{found.input_file.read_bytes()!r}"
    assert found.inputs > 10


@pytest.mark.parametrize("name", TARGETS)
def test_what_broke_a_target_once_does_not_any_more(name: str):
    target = target_named(name)
    for data in corpus_of(name, target):
        target.run(data)


@pytest.mark.parametrize(
    ("kind", "told"), [("Raises", "AssertionError: token"), ("Crashes", "signal 11"), ("Hangs", "one input has taken")]
)
def test_an_input_that_breaks_its_target_is_kept(kind: str, told: str, tmp_path: Path):
    found = watch(f"tests.fuzz.test_targets:{kind}", 30, 1, tmp_path, **FEW)
    assert told in found.problem
    assert b"token" in found.input_file.read_bytes()
    assert found.seconds < 20


def test_memory_that_grows_from_input_to_input_is_found(tmp_path: Path):
    found = watch("tests.fuzz.test_targets:Grows", 30, 1, tmp_path, **FEW)
    assert "memory has grown" in found.problem


def test_a_target_without_a_fault_has_no_finding(tmp_path: Path):
    found = watch("tests.fuzz.test_targets:Harmless", 1, 1, tmp_path)
    assert found.problem is None
    assert list(tmp_path.iterdir()) == []


def test_mutations_stay_within_bounds_and_are_the_same_for_a_seed():
    corpus = [b"", b"abc", bytes(MAX_INPUT_BYTES)]
    one, other = (Mutator(random.Random(5), [b"token"]) for _ in range(2))
    for _ in range(2000):
        data = one.next(corpus)
        assert len(data) <= MAX_INPUT_BYTES
        assert data == other.next(corpus)


def test_an_unknown_target_is_named():
    with pytest.raises(ValueError, match=r"no target 'x': there are parser, session"):
        target_named("x")
