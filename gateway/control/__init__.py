"""The control API of a node: HTTP on loopback, for operators and tools."""
