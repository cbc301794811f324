"""The blocking client against fake nodes: submissions, failover, resume, back-pressure, refusal."""

import errno
import socket
import threading
from pathlib import Path
from typing import Any, Never

import pytest
from fakenode import SESSION, SESSION_NAME, ThreadedPair
from forking import in_a_fork

from gateway.client import (
    BackPressure,
    Client,
    ClientClosed,
    Connected,
    Disconnected,
    InvalidRequest,
    LoginRefused,
    Message,
    NodeComplaint,
    NotConnected,
    Order,
    Outcome,
    PositionFile,
    PositionsDamaged,
    RejectReason,
    Side,
    UnknownSession,
    WaitTimeout,
)
from gateway.native import clientwire as wire
from tests.support.waiting import PATIENCE_S, wait_for

ORDER = Order(symbol="AAPL", side=Side.BUY, quantity=100, price="190.25")
REPORT = b"8=FIX.4.4\x019=5\x0135=8\x0111=%b\x0139=0\x0110=000\x01"


def connect(pair: ThreadedPair, **options: Any) -> Client:
    return Client(pair.nodes, "alpha", "secret", **options)


def next_message(client: Client) -> Message:
    while True:
        event = client.next(PATIENCE_S)
        if isinstance(event, Message):
            return event


def test_a_submission_is_accepted_with_its_number(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        submission = client.send(SESSION_NAME, ORDER).wait(PATIENCE_S)
        assert submission.outcome is Outcome.ACCEPTED
        assert (submission.seq, submission.generation) == (1, 0)
        (taken,) = pair.pair.submissions
        assert (taken.session, taken.msg_type) == (SESSION, "D")
        assert taken.fields.startswith(b"11=%b\x0155=AAPL\x0154=1\x01" % submission.cl_ord_id.encode())


def test_a_refusal_says_why(pair: ThreadedPair) -> None:
    pair.a.verdict = lambda frame, cl_ord_id: wire.rejected(frame.session, 10, cl_ord_id, "quantity 100 above 50")
    with connect(pair) as client:
        submission = client.send(SESSION_NAME, ORDER).wait(PATIENCE_S)
        assert submission.outcome is Outcome.REJECTED
        assert (submission.reason, submission.text) == (RejectReason.MAX_ORDER_QTY, "quantity 100 above 50")


def test_a_held_order_waits_for_its_outcome(pair: ThreadedPair) -> None:
    pair.a.verdict = lambda frame, cl_ord_id: wire.held(frame.session, cl_ord_id)
    with connect(pair) as client:
        submission = client.send(SESSION_NAME, ORDER, "held-1")
        wait_for(lambda: submission.outcome is Outcome.HELD, "the order is held")
        assert not submission.done
        pair.do(pair.a.say, wire.accepted(SESSION, 0, 7, "held-1"))
        assert submission.wait(PATIENCE_S).seq == 7


def test_pending_submissions_are_handed_to_the_new_primary_in_order(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        pair.a.forget = True  # what is submitted now dies with node a
        submissions = [client.send(SESSION_NAME, ORDER, f"o{i}") for i in range(20)]
        pair.run(pair.a.stop())
        submissions += [client.send(SESSION_NAME, ORDER, f"o{i}") for i in range(20, 30)]
        pair.do(pair.b.promote)
        assert [s.wait(PATIENCE_S).outcome for s in submissions] == [Outcome.ACCEPTED] * 30
        assert list(pair.pair.orders) == [f"o{i}" for i in range(30)]
        assert client.epoch == 2


def test_a_submission_that_the_dead_primary_had_taken_is_not_sent_again(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        pair.a.mute = True
        submission = client.send(SESSION_NAME, ORDER, "once")
        wait_for(lambda: pair.pair.orders, "node a has taken the order")
        pair.run(pair.a.stop())
        pair.do(pair.b.promote)
        assert submission.wait(PATIENCE_S).outcome is Outcome.ACCEPTED
        assert submission.order_status == wire.OrderStatus.SENT
        assert pair.pair.orders == {"once": 1}
        assert client.counters.resubmitted == 1


def test_a_standby_is_promoted_on_its_existing_connection(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        wait_for(lambda: pair.b.connections, "node b has a connection")
        pair.run(pair.a.stop())
        pair.do(pair.b.promote)
        assert client.send(SESSION_NAME, ORDER).wait(PATIENCE_S).outcome is Outcome.ACCEPTED
        assert len(pair.b.logins) == 1


def test_a_primary_that_comes_back_is_joined_again(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        pair.run(pair.a.stop())
        pending = client.send(SESSION_NAME, ORDER)
        pair.run(pair.a.start())
        pair.do(pair.a.promote)
        assert pending.wait(PATIENCE_S).outcome is Outcome.ACCEPTED


def test_messages_are_delivered_once_across_a_failover(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        wait_for(lambda: pair.b.connections, "node b has a connection")
        for i in range(5):
            pair.do(pair.a.deliver, REPORT % b"x%d" % i)
        assert [next_message(client).seq for _ in range(5)] == [1, 2, 3, 4, 5]
        pair.run(pair.a.stop())
        pair.do(pair.b.promote)  # feeds everything: its login's positions are old
        pair.do(pair.b.deliver, REPORT % b"new")
        message = next_message(client)
        assert (message.seq, message.get(11), message.session) == (6, "new", SESSION_NAME)
        assert client.counters.duplicates == 5


def test_the_events_of_a_failover_are_told(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        assert isinstance(event := client.next(PATIENCE_S), Connected)
        assert (event.epoch, event.sessions[0].session) == (1, SESSION_NAME)
        pair.run(pair.a.stop())
        assert isinstance(client.next(PATIENCE_S), Disconnected)
        pair.do(pair.b.promote)
        assert isinstance(event := client.next(PATIENCE_S), Connected)
        assert (event.node, event.epoch) == (1, 2)


def test_a_restarted_strategy_goes_on_where_it_stopped(pair: ThreadedPair, tmp_path: Path) -> None:
    for i in range(4):
        pair.do(pair.a.deliver, REPORT % b"x%d" % i)
    with PositionFile(tmp_path / "positions") as file, connect(pair, positions=file) as client:
        assert [next_message(client).seq for _ in range(2)] == [1, 2]
    with PositionFile(tmp_path / "positions") as file, connect(pair, positions=file) as client:
        assert pair.a.logins[-1].positions == [(SESSION, 0, 2)]
        assert [next_message(client).seq for _ in range(2)] == [3, 4]


def test_a_message_that_made_the_strategy_fail_comes_again(pair: ThreadedPair, tmp_path: Path) -> None:
    pair.do(pair.a.deliver, REPORT % b"x")

    def fail(file: PositionFile) -> None:
        with connect(pair, positions=file) as client:
            next_message(client)
            raise ZeroDivisionError

    with PositionFile(tmp_path / "positions") as file, pytest.raises(ZeroDivisionError):
        fail(file)
    with PositionFile(tmp_path / "positions") as file, connect(pair, positions=file) as client:
        assert next_message(client).seq == 1


def test_a_client_closes_though_its_positions_file_was_closed_before_it(pair: ThreadedPair, tmp_path: Path) -> None:
    positions = PositionFile(tmp_path / "positions")
    pair.do(pair.a.deliver, REPORT % b"x")
    client = connect(pair, positions=positions)
    next_message(client)
    positions.close()
    with pytest.raises(PositionsDamaged, match="was closed before"):
        client.__exit__(None, None, None)
    assert not client._thread.is_alive()


def test_from_now_reads_nothing_old_and_skips_nothing_later(pair: ThreadedPair) -> None:
    for i in range(4):
        pair.do(pair.a.deliver, REPORT % b"old%d" % i)
    with connect(pair, from_now=True) as client:
        assert (SESSION, 0, wire.FROM_NOW) in pair.a.logins[-1].positions
        pair.run(pair.a.stop())
        pair.pair.messages.append(REPORT % b"meanwhile")
        pair.run(pair.a.start())
        pair.do(pair.a.promote)
        assert next_message(client).get(11) == "meanwhile"


def test_a_reader_that_stops_reading_makes_the_client_stop_too(pair: ThreadedPair) -> None:
    with connect(pair, max_events=100) as client:
        count, big = 3000, REPORT % (b"x" * 3000)
        for _ in range(count):
            pair.do(pair.a.deliver, big) if _ == 0 else pair.pair.messages.append(big)
        pair.run(pair.a.stop())
        pair.run(pair.a.start())
        pair.do(pair.a.promote)
        wait_for(lambda: client._sockets.paused, "the client has stopped reading")
        assert len(client._core.events) < 1000
        assert [next_message(client).seq for _ in range(count)] == list(range(1, count + 1))


def test_submit_blocks_while_too_much_is_pending(pair: ThreadedPair) -> None:
    pair.a.mute = True
    with connect(pair, max_pending=3) as client:
        for i in range(3):
            client.send(SESSION_NAME, ORDER, f"o{i}")
        with pytest.raises(BackPressure, match="3 submissions have had no outcome"):
            client.submit(SESSION_NAME, "D", ORDER.body(), timeout=0.05)
        release = threading.Timer(0.05, pair.do, (pair.a.say, wire.accepted(SESSION, 0, 1, "o0")))
        release.start()
        client.send(SESSION_NAME, ORDER, "o3")
        release.join()
        assert client.pending == 3


def test_a_wrong_token_is_refused_and_never_shown(pair: ThreadedPair) -> None:
    with pytest.raises(LoginRefused, match="unknown client or wrong token") as caught:
        Client(pair.nodes, "alpha", "wr0ng")
    assert "wr0ng" not in str(caught.value)


def test_no_primary_says_what_each_node_does(pair: ThreadedPair) -> None:
    pair.do(pair.a.demote)
    pair.run(pair.b.stop())
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1:\d+ standby; 127\.0\.0\.1:\d+ .*refused"):
        connect(pair, connect_timeout=0.3)


def test_malformed_frames_drop_the_connection_and_nothing_else(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        pair.do(pair.a.say, b"\x01\0\0\0" + bytes(20))
        wait_for(lambda: client.counters.malformed == 1 and client.connected, "the client is connected again")
        assert client.send(SESSION_NAME, ORDER).wait(PATIENCE_S).outcome is Outcome.ACCEPTED


def test_a_node_that_complains_is_left_and_joined_again(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        pair.do(pair.a.say, wire.error(wire.ErrorCode.FENCED, "this node was fenced"))
        while not isinstance(event := client.next(PATIENCE_S), NodeComplaint):
            pass
        assert (event.code, event.text) == (wire.ErrorCode.FENCED, "this node was fenced")
        wait_for(lambda: client.connected, "the client is connected again")


def test_a_stale_primary_is_not_followed(pair: ThreadedPair) -> None:
    pair.do(pair.b.promote)  # epoch 2; node a still believes in epoch 1
    with connect(pair) as client:
        wait_for(lambda: client.epoch == 2, "the client follows epoch 2")
        submission = client.send(SESSION_NAME, ORDER)
        submission.wait(PATIENCE_S)
        pair.do(pair.a.deliver, REPORT % b"of the stale one")
        pair.do(pair.b.deliver, REPORT % b"right")
        assert next_message(client).seq == 2


def test_the_same_clordid_again_is_the_same_submission(pair: ThreadedPair) -> None:
    pair.a.mute = True
    with connect(pair) as client:
        first = client.submit(SESSION_NAME, "D", b"55=A\x01", "same")
        assert client.submit(SESSION_NAME, "D", b"55=A\x01", "same") is first
        with pytest.raises(InvalidRequest, match="'same' is pending for another message"):
            client.submit(SESSION_NAME, "D", b"55=B\x01", "same")


def test_mistakes_are_refused_before_they_are_sent(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        with pytest.raises(UnknownSession, match="'NOPE' is not one of this client's: BROKER"):
            client.send("NOPE", ORDER)
        with pytest.raises(InvalidRequest, match="field at byte 0"):
            client.submit(SESSION_NAME, "D", b"nonsense")
        with pytest.raises(InvalidRequest, match="was given beside them"):
            client.submit(SESSION_NAME, "D", b"11=a\x01", "b")
        with pytest.raises(InvalidRequest, match="field 55 is empty"):
            client.submit(SESSION_NAME, "D", {55: ""})
        assert not pair.pair.submissions


def test_a_message_that_opens_nothing_is_sent_once_and_not_waited_for(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        assert client.submit(SESSION_NAME, "H", b"55=A\x01", "o1").wait(PATIENCE_S).outcome is Outcome.SENT
        wait_for(lambda: pair.pair.submissions, "the message has come")
        assert client.pending == 0


def test_checkpoints_are_stored_and_found_again(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        assert client.fetch("parameters", PATIENCE_S) is None
        client.store("parameters", b"\0\1binary").wait(PATIENCE_S)
        assert client.fetch("parameters", PATIENCE_S) == b"\0\1binary"


def test_a_checkpoint_under_way_survives_a_failover(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        pair.run(pair.a.stop())
        store = client.store("k", b"v")
        pair.do(pair.b.promote)
        store.wait(PATIENCE_S)
        assert pair.pair.checkpoints == {b"k": b"v"}


def test_closing_leaves_what_is_pending_undecided(pair: ThreadedPair) -> None:
    pair.a.mute = True
    client = connect(pair)
    submission = client.send(SESSION_NAME, ORDER)
    client.close()
    with pytest.raises(ClientClosed):
        submission.wait(PATIENCE_S)
    assert submission.outcome is Outcome.PENDING
    with pytest.raises(ClientClosed):
        client.send(SESSION_NAME, ORDER)
    client.close()


def test_a_defect_in_the_io_thread_is_told_to_whoever_waits(
    pair: ThreadedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    pair.a.mute = True
    with connect(pair) as client:
        submission = client.send(SESSION_NAME, ORDER)
        monkeypatch.setattr(client._core, "on_bytes", fail)
        pair.do(pair.a.deliver, REPORT % b"x")
        with pytest.raises(ClientClosed, match="the client failed: ZeroDivisionError"):
            submission.wait(PATIENCE_S)


def test_waiting_in_vain_decides_nothing(pair: ThreadedPair) -> None:
    pair.a.mute = True
    with connect(pair) as client:
        submission = client.send(SESSION_NAME, ORDER)
        with pytest.raises(WaitTimeout, match="no answer to <SyncSubmission D"):
            submission.wait(0.02)
        assert submission.outcome is Outcome.PENDING
        client.next(PATIENCE_S)
        with pytest.raises(WaitTimeout, match="no event came"):
            client.next(0.02)


def test_callbacks_are_called_when_the_outcome_is_there(pair: ThreadedPair) -> None:
    outcomes, events = [], []
    with connect(pair, on_event=events.append) as client:
        submission = client.send(SESSION_NAME, ORDER)
        submission.add_done_callback(lambda s: outcomes.append(s.outcome))
        submission.wait(PATIENCE_S)
        wait_for(lambda: outcomes == [Outcome.ACCEPTED], "the callback is told of the outcome")
        pair.do(pair.a.deliver, REPORT % b"x")
        wait_for(lambda: any(isinstance(event, Message) for event in events), "the message is handed over")


def test_a_callback_that_fails_does_not_stop_the_client(pair: ThreadedPair, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> Never:
        raise ZeroDivisionError

    with connect(pair, on_event=fail) as client:
        submission = client.send(SESSION_NAME, ORDER)
        submission.add_done_callback(fail)
        submission.wait(PATIENCE_S)
        assert client.send(SESSION_NAME, ORDER).wait(PATIENCE_S).outcome is Outcome.ACCEPTED
    assert "on_event failed" in caplog.text


def test_a_callback_may_submit(pair: ThreadedPair) -> None:
    second = []
    with connect(pair) as client:
        first = client.send(SESSION_NAME, ORDER)
        first.add_done_callback(lambda _: second.append(client.send(SESSION_NAME, ORDER)))
        wait_for(lambda: second, "the callback has sent")
        assert second[0].wait(PATIENCE_S).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("lock_is_held", [False, True])
def test_a_forked_process_leaves_the_client_to_its_parent(
    pair: ThreadedPair, tmp_path: Path, lock_is_held: bool
) -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold(client: Client) -> None:
        with client._lock:
            held.set()
            let_go.wait(PATIENCE_S)

    with PositionFile(tmp_path / "positions") as positions, connect(pair, positions=positions) as client:
        pair.a.mute = True
        waiting = client.submit(SESSION_NAME, "D", b"55=A\x01", "o1")
        wait_for(lambda: pair.pair.submissions, "the order has come")
        if lock_is_held:
            threading.Thread(target=hold, args=[client]).start()
            assert held.wait(PATIENCE_S)
        for act in (lambda: client.send(SESSION_NAME, ORDER), client.next, waiting.wait):
            assert "make a new one here" in in_a_fork(act)
        assert in_a_fork(client.close) == "None"
        let_go.set()
        assert not waiting.done
        pair.do(pair.a.say, wire.accepted(SESSION, 0, 1, "o1"))
        assert waiting.wait(PATIENCE_S).outcome is Outcome.ACCEPTED
        assert client.connected
        assert [frame.fields for frame in pair.pair.submissions] == [b"11=o1\x0155=A\x01"]


def test_a_connection_that_cannot_be_closed_after_a_fork_does_not_keep_the_client(
    pair: ThreadedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    def close(connection: socket.socket) -> None:
        closed.append(connection)
        raise OSError(errno.EIO, "cannot be closed")

    with connect(pair) as client, monkeypatch.context() as world_of_the_child:
        wait_for(lambda: pair.b.connections, "both nodes are connected")
        world_of_the_child.setattr(socket.socket, "close", close)
        assert in_a_fork(lambda: len(closed)) == "2"
        assert "make a new one here" in in_a_fork(lambda: client.send(SESSION_NAME, ORDER))


def test_a_client_that_cannot_be_left_after_a_fork_does_not_keep_the_others(
    pair: ThreadedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def _leave_to_parent(self) -> None:
            raise RuntimeError

    with connect(pair) as client:
        monkeypatch.setattr("gateway.client.forks._clients", [Broken(), client])
        assert "make a new one here" in in_a_fork(lambda: client.send(SESSION_NAME, ORDER))


def test_the_token_is_in_no_repr(pair: ThreadedPair) -> None:
    with connect(pair) as client:
        assert "secret" not in repr(client) + repr(client._core)


def test_standbys_are_told_what_was_read(pair: ThreadedPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.links.POSITIONS_INTERVAL_NS", 20_000_000)
    with connect(pair) as client:
        pair.do(pair.a.deliver, REPORT % b"x")
        next_message(client)
        there = [(SESSION, 0, 1)]
        wait_for(lambda: pair.b.positions and pair.b.positions[-1].positions == there, "node b is told the position")
        assert not pair.a.positions
