"""Ratio of ``accumulate`` to the forward pass, and both against what users have today.

python -m benchmarks.speed [MODEL …] [--batch 1 10 20] [--repeats 7] [--peers]
"""
