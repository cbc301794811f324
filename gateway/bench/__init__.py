"""`gateway bench`: the latency benchmarks, for the user's own host. The product's other packages never import it."""
