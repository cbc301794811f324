"""A broker simulator takes more than one segment of its journal holds."""

import asyncio
from pathlib import Path

import pytest

from gateway.broker.acceptor import Acceptor, Counterparty
from gateway.config import Address
from gateway.native.journal import Journal
from gateway.native.session import Session

SEGMENT_BYTES = 1 << 20
NOW = (1, 1_795_244_400_000_000_000)  # monotonic, wall; ns
MESSAGES = 4 * SEGMENT_BYTES // 1000


class Talker(Counterparty):
    """Says the same thing over and over, without a connection."""

    def __init__(self, session: Session) -> None:
        self.identity = ("FIX.4.4", "BROKER", "GATEWAY")  # type: ignore[assignment]
        self.session = session

    def flush(self) -> None:
        pass

    def take(self, message: bytes) -> None:
        raise NotImplementedError


def ready_session(journal: Journal) -> Session:
    names = {"begin_string": "FIX.4.4"}
    here = Session(journal, role="acceptor", sender_comp_id="BROKER", target_comp_id="GATEWAY", **names)
    there = Session(
        Journal.memory(max_sessions=1), role="initiator", sender_comp_id="GATEWAY", target_comp_id="BROKER", **names
    )
    for session in (here, there):
        session.connected(*NOW)
    while here.status != "READY" or there.status != "READY":
        here.receive(there.output(), *NOW)
        there.receive(here.output(), *NOW)
    return here


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_next_segment_is_ready_before_the_first_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    monkeypatch.setattr("gateway.broker.acceptor.PREPARE_EVERY_S", 0)
    options = {"segment_bytes": SEGMENT_BYTES, "max_sessions": 1}
    with Journal.memory(**options) if in_memory else Journal.open(tmp_path, **options) as journal:
        session = ready_session(journal)

        async def talk() -> None:
            keeping = asyncio.create_task(Acceptor([Address("127.0.0.1", 0)], [Talker(session)])._keep_journals())
            for number in range(MESSAGES):
                session.send("B", b"58=" + b"x" * 1000 + b"\x01", *NOW)
                session.output()
                if number % 100 == 0:
                    await asyncio.sleep(0)
            keeping.cancel()

        asyncio.run(talk())
        assert session.next_out > MESSAGES
