"""`gateway.native.txqueue` has no Python face of its own: it is seen through `gateway.native.session.Session`."""
