"""`gateway doctor`: looks at the host as a latency engineer would. Reads and measures; changes nothing."""
