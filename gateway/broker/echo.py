"""`gateway broker-sim --mode echo`: an acceptor for conformance runs. It sends orders, SecurityDefinitions and Emails
back as they came, and answers every other application message as an application that does not support it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from gateway.broker.acceptor import Acceptor, Counterparty, Identity
from gateway.broker.echo_config import EchoConfig, EchoSession, EchoTemplate
from gateway.config.connections import Acceptor as DoorSettings
from gateway.config.units import Address
from gateway.fix.builtin import CHECKS, builtin_dictionary
from gateway.fix.dictionary import dictionary_in, session_dictionary_in
from gateway.native.dictionary import Dictionary
from gateway.native.journal import Journal
from gateway.native.parser import parse
from gateway.native.session import Event, Session
from gateway.wire.directory import Identity as Names
from gateway.wire.directory import Template

NS_PER_SECOND = 10**9
LOGOUT_TIMEOUT_NS = NS_PER_SECOND // 2
ECHOED = frozenset({b"D", b"d", b"C"})  # NewOrderSingle, SecurityDefinition, Email
BEFORE_BUSINESS_REJECT = ("FIX.4.0", "FIX.4.1")
UNSUPPORTED_MESSAGE_TYPE = b"3"  # BusinessRejectReason (380)

# Standard header and trailer (FIX 5.0SP2 volume 1), the group NoHops included; PossResend (97) goes back too.
HEADER = frozenset(
    {8, 9, 34, 35, 43, 49, 50, 52, 56, 57, 90, 91, 115, 116, 122, 128, 129, 142, 143, 144, 145, 212, 213, 347, 369}
    | {627, 628, 629, 630, 1128, 1129, 1156}
)
TRAILER = frozenset({10, 89, 93})
# What came on behalf of a third party is answered to it.
REVERSED = {115: 128, 116: 129, 144: 145, 128: 115, 129: 116, 145: 144}

RawFields = list[tuple[int, bytes]]
Dictionaries = tuple[Dictionary | None, Dictionary | None]  # of the version, and of its session messages


class EchoCounterparty(Counterparty):
    """One session."""

    def __init__(self, identity: Identity, config: EchoSession, dictionaries: Dictionaries, checks: int) -> None:
        session = Session(
            Journal.memory(max_sessions=1),
            role="acceptor",
            begin_string=identity[0],
            sender_comp_id=identity[1],
            target_comp_id=identity[2],
            default_appl_ver_id=config.default_appl_ver_id if config.begin_string == "FIXT.1.1" else "",
            logout_timeout_ns=LOGOUT_TIMEOUT_NS,
            sending_time_tolerance_ns=config.sending_time_tolerance * NS_PER_SECOND,
            reset_on_logon=config.reset_on_logon,
            dictionary=dictionaries[0],
            session_dictionary=dictionaries[1],
            checks=checks,
        )
        super().__init__(identity, session, replace_connection=False)
        self._begin_string = config.begin_string
        self._appl_ver_id = config.default_appl_ver_id.encode() if config.begin_string == "FIXT.1.1" else b""
        self._orders: set[bytes] = set()  # ClOrdIDs since the last Logon

    def told(self, event: Event) -> None:
        """A Logon forgets the orders of before."""
        if event.kind == "LOGGED_ON":
            self._orders.clear()

    def take(self, message: bytes) -> None:
        """Sends the message back, or says that it is not supported."""
        fields: RawFields = parse(message).fields
        values = dict(reversed(fields))
        msg_type = values[35]
        if msg_type not in ECHOED:
            self.send(*self._refusal(fields, values))
            return
        if msg_type == b"D":
            cl_ord_id = values.get(11, b"")
            if values.get(97) == b"Y" and cl_ord_id in self._orders:
                return
            self._orders.add(cl_ord_id)
        self.send(msg_type.decode(), encode([f for f in fields if f[0] not in HEADER and f[0] not in TRAILER]))

    def _refusal(self, fields: RawFields, values: dict[int, bytes]) -> tuple[str, bytes]:
        """BusinessMessageReject (35=j), or Reject where there is none yet."""
        route = [(REVERSED[tag], value) for tag, value in fields if tag in REVERSED and value]
        if self._begin_string in BEFORE_BUSINESS_REJECT:
            return "3", encode([*route, (45, values[34]), (58, b"Unsupported message type")])
        reason = [
            (45, values[34]),
            (58, b"Unsupported Message Type"),
            (372, values[35]),
            (380, UNSUPPORTED_MESSAGE_TYPE),
        ]
        # Some suites of FIXT.1.1 expect the session's DefaultApplVerID in it.
        version = [(1137, self._appl_ver_id)] if self._appl_ver_id else []
        return "j", encode([*route, *reason, *version])


def encode(fields: RawFields) -> bytes:
    """`tag=value<SOH>` one after the other."""
    return b"".join(b"%d=%s\x01" % field for field in fields)


def echo_acceptor(
    addresses: list[Address], config: EchoConfig, dictionaries: Path | None, door: DoorSettings
) -> Acceptor:
    """The acceptor of a configuration; without a directory the gateway's own dictionary is used, with what that can
    check. Raises ConfigError: a dictionary is missing or wrong."""
    makers = [(session, _maker(session, dictionaries)) for session in [*config.session, *config.template]]
    counterparties = [
        make(Names(session.begin_string, config.sender_comp_id, session.target_comp_id))
        for session, make in makers
        if not isinstance(session, EchoTemplate)
    ]
    templates = [
        Template(session.begin_string, config.sender_comp_id, session.target_comp_id, session.limit, make)
        for session, make in makers
        if isinstance(session, EchoTemplate)
    ]
    return Acceptor(addresses, counterparties, door, templates)


def _maker(session: EchoSession, dictionaries: Path | None) -> Callable[[Names], Counterparty]:
    """Makes sessions like this one."""
    found: Dictionaries = (builtin_dictionary(), None)
    checks = session.checks & CHECKS
    if dictionaries is not None:
        checks = session.checks
        if checks:
            found = _dictionaries(dictionaries, session.begin_string, session.default_appl_ver_id)
    return lambda names: EchoCounterparty(names.basis, session, found, checks)


@cache
def _dictionaries(directory: Path, begin_string: str, default_appl_ver_id: str) -> Dictionaries:
    """Each is read and compiled once."""
    return (
        dictionary_in(directory, begin_string, default_appl_ver_id),
        session_dictionary_in(directory, begin_string),
    )
