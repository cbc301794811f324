"""Tools and helpers around the journal."""
