"""Connections before they are a session's: socket options, TLS, proxies, dialling and the acceptor's front door.

With asyncio, on the control thread. Hands out connected sockets that carry plain bytes; what they carry is no business
of this package, but for the first message of an accepted connection. May depend on gateway.config and on the native
parser.
"""
