"""The hot path of the gateway, compiled.

Each module is Cython over flat memory. Protocol modules take time and bytes as arguments and never do I/O; ``reactor``
is the only one that makes system calls on sockets. Imports go one way:
``reactor -> node -> {session, sender, receiver, role, orders, feed} -> {journal, parser, encoder, datagram}``.
Each ``.pxd`` is the contract between native modules; the Python classes beside it are the face for tests and tools.
"""
