"""Side-by-side benchmarks against Debian's keepalived, in the same run, as ratios."""
