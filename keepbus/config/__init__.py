"""keepalived.conf to tree to typed model; every diagnostic; no I/O but reading files."""
