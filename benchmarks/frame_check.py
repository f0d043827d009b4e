"""Print what it costs to compare a frame with those of good parts, which a station does at each verdict.

``python -m benchmarks.frame_check``; processor time, which other programs on the machine change little.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from gagrad_edge.input import InputSpec
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.reference.statistics import FrameStatistics

FRAMES = (
    ("224 × 224, colour, 8 bits", (224, 224, 3), np.uint8),
    ("3000 × 4000, colour, 8 bits", (3000, 4000, 3), np.uint8),
    ("3000 × 4000, mono, 16 bits", (3000, 4000), np.uint16),
)
RUNS = 200


def milliseconds(shape: tuple[int, ...], dtype: type) -> tuple[float, float]:
    """Return median and 99 % quantile of the processor time of one comparison."""
    spec = InputSpec(height=224, width=224, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)
    frame = frame_for(spec, np.random.default_rng(0).integers(0, 255, shape, dtype=dtype))
    image, placement = prepare(frame, spec)
    times = []
    for _ in range(RUNS):
        began = time.process_time_ns()
        FrameStatistics.of(frame, image, placement, spec)
        times.append((time.process_time_ns() - began) / 1e6)
    return statistics.median(times), float(np.quantile(times, 0.99))


def main() -> None:
    """Print the table."""
    print("| frame | ms, median | ms, 99 % |\n|---|---|---|")
    for name, shape, dtype in FRAMES:
        median, high = milliseconds(shape, dtype)
        print(f"| {name} | {median:.2f} | {high:.2f} |")


if __name__ == "__main__":
    main()
