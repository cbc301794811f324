"""Our sessions against those of the quickfix package."""
