"""`gateway demo`: a broker, a pair and a client, each its own process; two kills; an audit."""
