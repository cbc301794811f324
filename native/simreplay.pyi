"""`gateway.native.simreplay` has no Python face of its own: it is seen through `gateway.native.sim.World`."""
