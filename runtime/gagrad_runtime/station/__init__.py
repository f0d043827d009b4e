"""The station: a device that gives each frame a verdict and an explanation by itself. See docs/watch.md."""
