"""So many resets of one session that older ones are forgotten: those of the others still count."""

from __future__ import annotations

from gateway.native import clientwire as wire
from gateway.native.driven import DrivenNode
from gateway.native.encoder import utc_timestamp
from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.rig import KEY, MS, PAIR, Cell, Clock

RESET = 3  # session_command
MAX_RESETS = 16384
QUIET, BUSY = 0, 1


def test_a_client_is_told_what_a_session_says_that_was_reset_long_ago():
    journal = Journal.memory(segment_bytes=1 << 22, max_records=1 << 16, max_sessions=4, max_seq=1 << 10)
    owner = Node(journal, node=0, pair_id=PAIR, key=KEY, incarnation=1, order_capacity=256, reorder_slots=16,
                 window_records=64, startup_wait_ns=20 * MS, preferred=True)  # fmt: skip
    for target in ("QUIET", "BUSY"):
        owner.add_session(target, begin_string="FIX.4.4", sender_comp_id="GW", target_comp_id=target,
                          logon_barrier=False)  # fmt: skip
    owner.add_client("strategy", unrouted=True)
    node = DrivenNode(owner)
    clock, cell = Clock(node), Cell((1, 1, 0, 1))
    while owner.status()["role"] != "PRIMARY":
        clock.move(10 * MS)
        cell.serve(node)
        node.turn()
        journal.flush()
    assert node.session_command(QUIET, RESET) == 0
    for _ in range(MAX_RESETS):
        assert node.session_command(BUSY, RESET) == 0
    assert node.wants_connection(QUIET)
    node.session_connects(QUIET)
    client = node.client_connects()
    node.client_sends(client, wire.login("strategy", b""))
    for msg_type, fields in (("A", "98=0\x01108=30\x01"), ("8", "37=X\x0117=Y\x01")):
        seq = owner.status()["sessions"][QUIET]["next_in"]
        stamp = utc_timestamp(clock.wall_ns).decode()
        content = f"35={msg_type}\x0149=QUIET\x0156=GW\x0134={seq}\x0152={stamp}\x01{fields}".encode()
        raw = b"8=FIX.4.4\x019=%d\x01" % len(content) + content
        node.session_sends(QUIET, raw + b"10=%03d\x01" % (sum(raw) % 256))
        node.turn()
    for _ in range(10):  # so many records are looked at in several turns
        node.turn()
    told = wire.decode(node.client_reads(client)[0])[0]
    messages = [frame for frame in told if isinstance(frame, wire.Message)]
    assert [(frame.seq, frame.generation) for frame in messages] == [(2, 1)]
