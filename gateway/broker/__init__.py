"""The broker simulator: a FIX acceptor that acknowledges, fills and keeps a ledger of what it processed."""
