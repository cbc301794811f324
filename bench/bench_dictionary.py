"""Validation of a parsed message against a data dictionary, timed inside native code: what `full` adds to the parse.

Run: pytest bench/bench_dictionary.py. The public dictionaries are those that the quickfix package installs.
"""

import sys
from pathlib import Path

import pytest

from bench.conftest import Distribution
from gateway.bench.messages import BEGIN_STRING, EXECUTION, SENDER, TARGET, WALL_NS
from gateway.fix.builtin import CHECKS, builtin_dictionary
from gateway.fix.dictionary import dictionary_in
from gateway.native.dictionary import Dictionary
from gateway.native.encoder import Template

PUBLIC = Path(sys.prefix) / "share" / "quickfix"
ALL = 255
SAMPLES = 200
ROUNDS = 20_000


def _execution() -> bytes:
    return Template(BEGIN_STRING.encode(), f"49={TARGET}\x0156={SENDER}\x01".encode()).encode(
        b"8", 100_000, WALL_NS, EXECUTION
    )


def _measure(distribution: Distribution, name: str, dictionary: Dictionary, checks: int) -> None:
    message = _execution()
    distribution(name, [dictionary.measure_validate(message, ROUNDS, checks) for _ in range(SAMPLES)])


def test_against_the_own_dictionary(distribution: Distribution) -> None:
    _measure(distribution, "validate, own dictionary", builtin_dictionary(), CHECKS)


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public dictionaries are not installed")
def test_against_the_public_dictionary(distribution: Distribution) -> None:
    _measure(distribution, "validate, FIX44.xml, every check", dictionary_in(PUBLIC, "FIX.4.4"), ALL)
