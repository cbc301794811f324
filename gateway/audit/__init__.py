"""Audit of a pair from independent evidence: the broker's ledger, both journals and the client's record."""
