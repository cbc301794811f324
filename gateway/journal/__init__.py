"""Tools around the journal: flushing, inspecting, verifying, exporting. Logic on records is in gateway.native."""
