"""The scenarios, one module for each area. Each module has a SCENARIOS tuple."""
