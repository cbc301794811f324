"""Long random runs: `python -m tests.fuzz TARGET --seconds N`. See docs/reliability.md; a minute is in CI."""
