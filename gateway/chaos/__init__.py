"""Chaos: the pair as real processes under random faults, with an audit after each round."""
