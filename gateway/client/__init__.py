"""The Python client of the gateway: submits orders to the pair, delivers every execution once, hides failover.

`Client` blocks; `AsyncClient` is for asyncio. Both connect to both nodes, follow whichever is primary, hand in again
what was not answered (the gateway never sends a ClOrdID twice), and go on reading where they stopped::

    from gateway.client import Client, Message, Order, Side

    with Client("127.0.0.1:7003,127.0.0.1:7013", "alpha", token) as client:
        submission = client.send("BROKER", Order(symbol="AAPL", side=Side.BUY, quantity=100, price="190.25"))
        submission.wait(timeout=5)
        print(submission)  # <SyncSubmission D 'alpha-...' to BROKER: accepted, seq 42 of generation 0>
        for event in client:
            if isinstance(event, Message):
                print(event.msg_type, event.get(11), event.get(39))
"""

from gateway.client.aio import AsyncClient
from gateway.client.errors import (
    BackPressure,
    ClientClosed,
    ClientError,
    InvalidRequest,
    LoginRefused,
    NotConnected,
    PositionsDamaged,
    UnknownSession,
    WaitTimeout,
)
from gateway.client.events import (
    Connected,
    Disconnected,
    Event,
    Fate,
    Message,
    NodeComplaint,
    Refused,
    SessionState,
)
from gateway.client.orders import Cancel, Order, OrdType, Replace, Side, StatusRequest, TimeInForce
from gateway.client.positions import PositionFile
from gateway.client.submission import Outcome, Submission
from gateway.client.sync import Client
from gateway.native.clientwire import FateKind, OrderStatus, RejectReason, SessionStatus

__all__ = [
    "AsyncClient",
    "BackPressure",
    "Cancel",
    "Client",
    "ClientClosed",
    "ClientError",
    "Connected",
    "Disconnected",
    "Event",
    "Fate",
    "FateKind",
    "InvalidRequest",
    "LoginRefused",
    "Message",
    "NodeComplaint",
    "NotConnected",
    "OrdType",
    "Order",
    "OrderStatus",
    "Outcome",
    "PositionFile",
    "PositionsDamaged",
    "Refused",
    "RejectReason",
    "Replace",
    "SessionState",
    "SessionStatus",
    "Side",
    "StatusRequest",
    "Submission",
    "TimeInForce",
    "UnknownSession",
    "WaitTimeout",
]
