"""Explanations of detections compared with D-RISE, a method that needs no gradient: ``python -m benchmarks.drise``."""
