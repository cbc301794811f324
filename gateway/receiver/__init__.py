"""Receivers that the pair never waits for: a distant node for disaster recovery, and drop copies."""
