"""A few seconds of the random run, the same at each run."""

from tests.fuzz.session import Fuzzer


def test_nothing_that_a_counterparty_sends_breaks_a_session():
    for seed in range(60):
        Fuzzer(seed).run_session()
