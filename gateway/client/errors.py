"""What can go wrong for a client, as exceptions. Depends on gateway.errors only."""

from __future__ import annotations

from gateway.errors import GatewayError


class ClientError(GatewayError):
    """Base of everything that `gateway.client` raises on purpose."""


class LoginRefused(ClientError):
    """Every node refuses this client: unknown name, wrong token, or another protocol version."""


class NotConnected(ClientError):
    """No primary has answered in the time given."""


class UnknownSession(ClientError):
    """The gateway has no session of this name for this client."""


class InvalidRequest(ClientError):
    """A submission that no node could take: a malformed field, a ClOrdID in use for something else, too long."""


class BackPressure(ClientError):
    """Too much is pending: submissions without outcome, or events that the strategy has not read."""


class WaitTimeout(ClientError, TimeoutError):
    """What was waited for has not come yet. It may still come: the fate of an order is not decided by a time-out."""


class ClientClosed(ClientError):
    """The client was closed."""


class PositionsDamaged(ClientError):
    """A positions file cannot be read."""
