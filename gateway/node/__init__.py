"""The node process: start-up, the control thread, and the record of what happened."""
