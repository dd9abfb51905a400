"""The typed model of a configuration: what the text means, and nothing of how it was written.

Frozen and comparable: a reload is a comparison of two of these. Each service gets one section and loads
nothing else, so that a change elsewhere in the file cannot touch it. Durations are in microseconds (`_us`)
or in the seconds that the kernel takes (`_s`). Names are keepalived's.

A file for each section: a service imports its own, and nobody's start and memory are burdened with the
parts of others.
"""
