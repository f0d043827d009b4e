"""The checks on a GPU: each is a job in a process of its own, so that one that hangs or crashes costs only itself."""
