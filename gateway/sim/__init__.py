"""The deterministic simulator: production cores, virtual time, every fault. See docs/reliability.md."""
