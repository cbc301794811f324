"""The root of the gateway's own exceptions. Each says what went wrong, where, and what to do about it."""

from __future__ import annotations


class GatewayError(Exception):
    """Base of every exception that the gateway raises on purpose."""


class ConfigError(GatewayError):
    """A configuration file or option is wrong; the text names file, key, what was found and what is allowed."""


class JournalError(GatewayError):
    """A journal cannot be opened, read or written."""


class JournalCorruptError(JournalError):
    """A journal holds something that was not written there."""


class ProtocolError(GatewayError):
    """A peer does not keep to the protocol."""
