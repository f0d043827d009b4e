"""Triton's own server over a repository that the exporter wrote."""
