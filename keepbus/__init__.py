"""keepbus: the whole job of keepalived, as separate processes on a ZeroMQ bus."""

__version__ = "0.1.0"
