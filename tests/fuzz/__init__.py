"""Long random runs. `python -m tests.fuzz.session --seconds 3600` is the one of an hour; a minute of it is in CI."""
