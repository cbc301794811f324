"""Stub of gateway.native.segment: it has no Python face; `Journal` is the one for tests and tools."""
