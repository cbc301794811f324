"""What can go wrong while a connection is made."""

from __future__ import annotations

from gateway.errors import GatewayError


class ConnectError(GatewayError):
    """A connection could not be made; the text names the place, the stage and what was wrong."""


class ProxyError(ConnectError):
    """The proxy refused, or does not speak its protocol."""
