"""Where do the maps point, and which words beside them may be trusted: ``python -m benchmarks.where``."""
