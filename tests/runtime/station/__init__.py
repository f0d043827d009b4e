"""A station on its own."""
