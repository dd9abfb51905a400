"""The demo: the main job on the seed's own files, every claim checked."""
