"""One session with its journal in memory, timed inside native code: what an order and an execution cost, all included.

Run: pytest bench/bench_session.py. `session.out`: numbered, encoded into the journal, sealed with its CRC-32C, handed
to the transport; each timed by itself, so some 20 ns of clock are in it. `session.in`: parsed, checked, put in
sequence, logged; averaged over reads of four messages. The same as `gateway bench session`.
"""

from bench.conftest import Measured


def test_order_out(measured: Measured) -> None:
    measured("session.out")


def test_execution_in(measured: Measured) -> None:
    measured("session.in")
