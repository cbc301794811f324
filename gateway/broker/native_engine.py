"""The broker simulator on the gateway's own session core."""

from __future__ import annotations

import time

from gateway.broker.acceptor import Acceptor, Counterparty
from gateway.broker.book import Outcome
from gateway.broker.ledger import Ledger
from gateway.broker.options import BrokerOptions, Desk, SessionId
from gateway.broker.unrecorded import Unrecorded, find_unrecorded
from gateway.fix.fields import Fields, decode_fields, encode_body
from gateway.native.journal import Journal
from gateway.native.session import Session


class DeskCounterparty(Counterparty):
    """One session, with a desk behind it."""

    def __init__(self, identity: SessionId, options: BrokerOptions, ledger: Ledger) -> None:
        self.desk = Desk(identity, options, ledger)
        store = None if options.store is None else options.store / "-".join(identity).replace("/", "_")
        journal = Journal.memory(max_sessions=1) if store is None else Journal.open(store, max_sessions=1)
        session = Session(
            journal,
            role="acceptor",
            begin_string=identity.begin_string,
            sender_comp_id=identity.sender_comp_id,
            target_comp_id=identity.target_comp_id,
            reset_on_logon=options.reset_on_logon,
        )
        super().__init__(identity, session, replace_connection=options.on_duplicate_connection == "replace")
        if store is not None and options.ledger is not None:
            self._record_rest(find_unrecorded(journal, options.ledger, ":".join(identity)))

    def detached(self) -> None:
        """Cancels open orders if that is the broker's policy."""
        outcome = self.desk.cancel_all()
        if outcome.replies:
            self._answer("", [], time.time_ns(), outcome)

    def take(self, message: bytes) -> None:
        """Hands a message to the desk, and its answers to the session."""
        received = time.time_ns()
        fields = decode_fields(message)
        msg_type = fields[2][1]
        self._answer(msg_type, fields, received, self.desk.take(msg_type, fields))

    def _answer(self, msg_type: str, fields: Fields, received_wall_ns: int, outcome: Outcome) -> None:
        numbers = [self.send(reply.msg_type, encode_body(reply.fields)) for reply in outcome.replies]
        self.desk.record(msg_type, fields, received_wall_ns, outcome, numbers)

    def _record_rest(self, rest: Unrecorded) -> None:
        """Handles what an earlier run took but did not finish: replies that were sent keep their ExecIDs."""
        sent = rest.sent
        for message in rest.received:
            fields = decode_fields(message)
            msg_type = fields[2][1]
            outcome = self.desk.take(msg_type, fields)
            for reply, (_, exec_id) in zip(outcome.replies, sent, strict=False):
                reply.exec_id = exec_id if reply.exec_id else ""
            numbers = [number for number, _ in sent][: len(outcome.replies)]
            unsent = outcome.replies[len(numbers) :]
            numbers += [self.send(reply.msg_type, encode_body(reply.fields)) for reply in unsent]
            self.desk.record(msg_type, fields, time.time_ns(), outcome, numbers)
            sent = []


class NativeEngine(Acceptor):
    """The broker's sessions on one port."""

    def __init__(self, options: BrokerOptions) -> None:
        self._ledger = Ledger(options.ledger)
        counterparties = [DeskCounterparty(identity, options, self._ledger) for identity in options.sessions]
        super().__init__(options.addresses, list(counterparties), options.door)

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then closes the ledger."""
        await super().run()
        self._ledger.close()
