"""The soak: whole nodes under a seeded sequence of troubles, judged by what a client and the logs saw."""
