"""Benchmarks: `pytest bench`, or one file of it. Each prints percentiles of what it measured."""
