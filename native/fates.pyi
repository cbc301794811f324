"""`gateway.native.fates` has no Python face of its own: it is seen through `gateway.native.node.Node`."""
