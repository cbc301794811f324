"""The order table: every ClOrdID is found, nobody else's is, and its state follows what the counterparty says."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native import record as names
from gateway.native.journal import Journal
from gateway.native.orders import OrderTable

E8 = 10**8
LIMIT_REASON = 10


def journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 20, max_records=1 << 14, max_sessions=4, max_seq=1 << 14)


class World:
    """A table over a journal, with the few ways in which entries come about."""

    def __init__(self, capacity: int = 1024) -> None:
        self.journal = journal()
        self.table = OrderTable(self.journal, capacity)
        self.seq = 0

    def sent(
        self, clordid: bytes, *, client: int = 1, session: int = 0, quantity: int = 10, generation: int = 0
    ) -> int:
        """An order was numbered; its MsgSeqNum."""
        self.seq += 1
        start = b"35=D\x0111="
        lsn = self.journal.append(
            names.OUT,
            session,
            start + clordid + b"\x01",
            seq=self.seq,
            client=client,
            aux=len(start) << 16 | len(clordid),
            flags=names.ORDER | names.APPLICATION,
        )
        assert self.table.insert(lsn, generation, quantity * E8)
        return self.seq

    def refused(self, clordid: bytes, *, client: int = 1, session: int = 0) -> None:
        """An order was refused before it got a number."""
        payload = struct.pack("<H", len(clordid)) + clordid
        lsn = self.journal.append(names.REJECTED, session, payload, client=client, aux=LIMIT_REASON)
        assert self.table.insert(lsn)

    def heard(self, *fields: tuple[int, object], session: int = 0, seq: int = 7) -> int | None:
        """The counterparty said something; by how much the open quantity changed."""
        message = b"".join(b"%d=%s\x01" % (tag, str(value).encode()) for tag, value in fields)
        return self.table.receive(session, message, seq)

    def state(self, clordid: bytes, client: int = 1) -> str:
        order = self.table.by_client(client, clordid)
        assert order is not None
        return order["state"]


@pytest.fixture
def world() -> World:
    return World()


def test_an_order_is_found_by_its_client_and_by_its_session(world: World):
    seq = world.sent(b"A", client=3, session=2, generation=5)
    found = world.table.by_client(3, b"A")
    assert found == world.table.by_session(2, b"A")
    assert found == {
        "lsn": 1,
        "seq": seq,
        "last_in_seq": 0,
        "client": 3,
        "session": 2,
        "generation": 5,
        "state": "SENT",
        "reason": 0,
        "open_e8": 10 * E8,
        "clordid": b"A",
    }


def test_nothing_is_found_for_another_client_session_or_clordid(world: World):
    world.sent(b"A")
    assert world.table.by_client(2, b"A") is None
    assert world.table.by_session(1, b"A") is None
    for other in (b"", b"B", b"AA"):
        assert world.table.by_client(1, other) is None


def test_two_clients_may_use_one_clordid_on_two_sessions(world: World):
    one, two = world.sent(b"A", client=1, session=0), world.sent(b"A", client=2, session=1)
    assert [world.table.by_client(client, b"A")["seq"] for client in (1, 2)] == [one, two]
    world.heard((35, 8), (11, "A"), (39, 2), (151, 0), session=1)
    assert (world.state(b"A", 1), world.state(b"A", 2)) == ("SENT", "FILLED")


def test_a_refused_order_is_known_to_its_client_and_free_for_the_counterparty(world: World):
    world.refused(b"A")
    order = world.table.by_client(1, b"A")
    assert (order["state"], order["reason"], order["seq"], order["open_e8"]) == ("REFUSED", LIMIT_REASON, 0, 0)
    assert world.table.by_session(0, b"A") is None
    assert world.heard((35, 8), (11, "A"), (39, 0)) is None


def test_a_record_without_a_clordid_is_not_taken(world: World):
    lsn = world.journal.append(names.OUT, 0, b"35=0\x01", seq=1)
    assert not world.table.insert(lsn)
    assert len(world.table) == 0


@pytest.mark.parametrize(
    ("status", "state", "still_open"),
    [
        ("0", "NEW", 4),
        ("1", "PARTIALLY_FILLED", 4),
        ("2", "FILLED", 0),
        ("4", "CANCELED", 0),
        ("5", "REPLACED", 0),
        ("6", "PENDING", 4),
        ("A", "PENDING", 4),
        ("E", "PENDING", 4),
        ("8", "REJECTED", 0),
        ("C", "EXPIRED", 0),
        ("9", "OTHER", 4),
    ],
)
def test_the_state_follows_ordstatus_and_what_is_open_follows_leavesqty(world, status, state, still_open):
    world.sent(b"A", quantity=10)
    assert world.heard((35, 8), (11, "A"), (150, 0), (39, status), (151, 4), seq=9) == (still_open - 10) * E8
    order = world.table.by_client(1, b"A")
    assert (order["state"], order["open_e8"], order["last_in_seq"]) == (state, still_open * E8, 9)


def test_a_cancel_that_took_effect_ends_the_order_and_the_request(world: World):
    world.sent(b"A", quantity=10)
    world.sent(b"C", quantity=0)
    assert world.heard((35, 8), (11, "C"), (41, "A"), (150, 4), (39, 4), (151, 0)) == -10 * E8
    assert (world.state(b"A"), world.state(b"C")) == ("CANCELED", "CANCELED")


def test_a_replace_moves_what_is_open_to_the_new_order(world: World):
    world.sent(b"A", quantity=10)
    world.sent(b"B", quantity=15)
    assert world.heard((35, 8), (11, "B"), (41, "A"), (150, 5), (39, 0), (151, 12)) == (12 - 15 - 10) * E8
    assert (world.state(b"A"), world.state(b"B")) == ("REPLACED", "NEW")


@pytest.mark.parametrize(("filled", "still_open"), [(0, 15), (3, 12)])
def test_the_order_that_takes_the_place_of_another_is_open_though_fix_42_calls_it_replaced(world, filled, still_open):
    world.sent(b"A", quantity=10)
    world.sent(b"B", quantity=15)
    replaced = ((35, 8), (11, "B"), (41, "A"), (20, 0), (150, 5), (39, 5), (38, 15), (14, filled), (151, 15 - filled))
    assert world.heard(*replaced) == (still_open - 15 - 10) * E8
    assert world.table.by_client(1, b"A")["open_e8"] == 0
    assert world.table.by_client(1, b"B")["open_e8"] == still_open * E8


@pytest.mark.parametrize(("status", "state", "change"), [("4", "CANCELED", -10), ("5", "REPLACED", -10)])
def test_in_fix_40_ordstatus_alone_says_what_became_of_the_original(world: World, status, state, change):
    world.sent(b"A", quantity=10)
    world.sent(b"B", quantity=0)
    assert world.heard((35, 8), (11, "B"), (41, "A"), (20, 0), (39, status), (14, 0)) == change * E8
    assert world.state(b"A") == state


@pytest.mark.parametrize("msg_type", ["j", "3"])
def test_a_reject_of_a_status_request_leaves_the_order_alone(world: World, msg_type: str):
    world.sent(b"A", quantity=10)
    world.heard((35, 8), (11, "A"), (150, 0), (39, 0), (151, 10), seq=7)
    before = world.table.by_client(1, b"A")
    assert world.heard((35, msg_type), (45, 99), (372, "H"), (379, "A"), (11, "A"), (380, 3), seq=8) == 0
    assert world.table.by_client(1, b"A") == before
    assert world.heard((35, msg_type), (45, 1), (372, "D"), (379, "A"), (380, 3), seq=9) == -10 * E8


def test_a_cancel_that_was_rejected_leaves_the_order_alone(world: World):
    world.sent(b"A", quantity=10)
    world.sent(b"C", quantity=0)
    world.heard((35, 9), (11, "C"), (41, "A"), (39, 0))
    assert (world.state(b"A"), world.state(b"C")) == ("SENT", "REJECTED")


@pytest.mark.parametrize("request_id", ["A", "?"])
def test_a_cancel_reject_that_names_no_request_of_ours_leaves_the_order_alone(world: World, request_id: str):
    world.sent(b"A", quantity=10)
    assert world.heard((35, 9), (11, request_id), (41, "A"), (39, 0)) == 0
    assert world.state(b"A") == "SENT"


def test_less_than_nothing_is_not_open(world: World):
    world.sent(b"A", quantity=10)
    assert world.heard((35, 8), (11, "A"), (150, 0), (39, 1), (151, -5)) == -10 * E8


@pytest.mark.parametrize("msg_type", ["j", "3"])
def test_a_reject_is_taken_by_the_order_whose_number_it_names(world: World, msg_type: str):
    world.sent(b"A")
    seq = world.sent(b"B", quantity=10)
    assert world.heard((35, msg_type), (45, seq)) == -10 * E8
    assert (world.state(b"A"), world.state(b"B")) == ("SENT", "REJECTED")


def test_a_business_reject_may_name_the_order_instead(world: World):
    world.sent(b"A")
    world.heard((35, "j"), (45, 99), (379, "A"))
    assert world.state(b"A") == "REJECTED"


def test_what_belongs_to_nobody_is_nobodys(world: World):
    world.sent(b"A")
    for fields in (((35, 8), (11, "B"), (39, 2)), ((35, 3), (45, 99)), ((35, "B"), (148, "news"))):
        assert world.heard(*fields) is None
    assert world.heard((35, 8), (11, "A"), (39, 2), session=1) is None
    assert world.state(b"A") == "SENT"


def test_the_table_says_full_while_there_is_still_room_for_what_the_log_holds(world: World):
    for number in range(768):
        assert not world.table.full
        world.sent(b"%d" % number)
    assert world.table.full
    for number in range(768, 1023):
        world.sent(b"%d" % number)
    lsn = world.journal.append(names.REJECTED, 0, struct.pack("<H", 1) + b"Z")
    assert not world.table.insert(lsn)
    assert all(world.table.by_client(1, b"%d" % number) for number in range(1023))
    assert world.table.by_client(1, b"Z") is None


def test_forgetting_leaves_nothing(world: World):
    world.sent(b"A")
    world.table.forget()
    assert (len(world.table), world.table.by_client(1, b"A")) == (0, None)


def test_an_lsn_that_the_journal_does_not_have_is_refused(world: World):
    with pytest.raises(KeyError, match="LSN 9 is not in the journal"):
        world.table.insert(9)


keys = st.binary(min_size=1, max_size=64).filter(lambda key: b"\x01" not in key)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1), keys), max_size=60), st.lists(keys, max_size=10))
def test_the_table_behaves_like_a_dictionary(orders, strangers):
    world, model = World(), {}
    for client, session, key in orders:
        if (client, key) not in model and world.table.by_session(session, key) is None:
            model[client, key] = (session, world.sent(key, client=client, session=session))
    assert len(world.table) == len(model)
    for (client, key), (session, seq) in model.items():
        found = world.table.by_client(client, key)
        assert (found["session"], found["seq"], found["clordid"]) == (session, seq, key)
        assert world.table.by_session(session, key)["seq"] == seq
    for key in strangers:
        for client in (1, 2, 3):
            assert (world.table.by_client(client, key) is None) == ((client, key) not in model)
