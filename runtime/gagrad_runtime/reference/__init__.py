"""What is known of good parts: the file ``NAME.good`` that ``calibrate`` writes beside a bundle."""

SUFFIX = ".good"
"""Ending of the file's name."""
