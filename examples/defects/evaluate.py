"""Measure how well the demo model's maps lie on the defects, on held-out parts whose masks are known.

gagrad-edge export gagrad_edge/demo/defects.onnx -o defects.gagrad --classes gagrad_edge/demo/labels.txt \
        --size 224 224 --mean 0.5 0.5 0.5 --std 0.25 0.25 0.25
python -m examples.defects.evaluate defects.gagrad
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import gagrad_runtime
from examples.defects.parts import CLASSES, part
from gagrad_runtime.jobs.demonstrating import mass_inside, widened

SERIES = 2
"""The held-out parts; training uses series 1."""


def main(bundle: Path, per_class: int = 20) -> None:
    """Print one line per class: parts classified rightly, share of the map on the defect, ratio to chance."""
    print(f"{'class':14} {'right':>6} {'share':>7} {'lift':>6} {'worst':>6}   medians of {per_class} parts")
    with gagrad_runtime.load(bundle) as explainer:
        for label, name in enumerate(CLASSES[1:], start=1):
            right, shares, lifts = 0, [], []
            for index in range(per_class):
                made = part(SERIES, 10_000 + index, label=label)
                explanation = explainer.explain(made.image)
                right += explanation.target.name == name
                pixels = cv2.resize(made.mask.astype(np.float32), (224, 224), interpolation=cv2.INTER_AREA)
                mask = widened(pixels > 0.5)
                shares.append(mass_inside(explanation.saliency, mask))
                lifts.append(shares[-1] / float(mask.mean()))
            print(
                f"{name:14} {right:3}/{per_class:<2} {np.median(shares):7.1%}"
                f" {np.median(lifts):5.1f}× {min(lifts):5.1f}×",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
