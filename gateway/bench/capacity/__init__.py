"""How much a pair carries: orders a second, start, resend, catch-up, memory, cost per order as its state grows.

Each module has one plain function that builds what it measures, measures, tears it down and returns a dict of figures.
"""
