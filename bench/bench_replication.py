"""A record's way to the standby and back: appended, sent, appended there, acknowledged; over UDP on loopback.

Run: pytest bench/bench_replication.py. Primary and standby take turns in one thread, so no wake-up of another thread or
core is in it: the cost of the protocol and of the system calls. The same as `gateway bench replication`.
"""

import pytest

from bench.conftest import Measured


@pytest.mark.parametrize("subject", ["gateway", "floor"])
@pytest.mark.parametrize("paths", [1, 2])
def test_record_to_the_standby_and_back(measured: Measured, paths: int, subject: str) -> None:
    measured(f"replication.paths{paths}", subject)
