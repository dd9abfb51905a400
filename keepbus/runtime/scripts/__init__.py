"""Running what the configuration names: as whom, whether it may be run, and the processes themselves."""
