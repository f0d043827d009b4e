"""D-RISE of the package xaitk-saliency (Petsiuk et al. 2021) for all detections of a frame.

The three parts of its ``DRISEStack`` are called one by one, as its interface for detectors makes a Python object
of each candidate of each masked frame.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drise.frames import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.drise.subjects import BlackBox

    Array = NDArray[np.float32]

MASKS, GRID, KEEP, SEED = 2000, 16, 0.5, 0
"""Number of masks, cells along a side, chance that a cell is kept: the paper's, with the issue's number."""
CELL = SIDE / GRID
"""Pixels from one cell to the next: nothing finer can be seen by masks of this grid."""


@cache
def masks() -> Array:
    """Return the masks ``[MASKS, SIDE, SIDE]``; all frames get the same."""
    from xaitk_saliency.impls.perturb_image.rise import RISEGrid

    grid = RISEGrid(n=MASKS, s=GRID, p1=KEEP, seed=SEED, threads=0)
    return np.asarray(grid.perturb(np.zeros((SIDE, SIDE, 3), np.uint8)), np.float32)


def drise_maps(
    black_box: BlackBox, frame: NDArray[np.uint8], references: Array, fill: list[int] | None = None
) -> Array:
    """Return maps ``[3, D, H, W]`` of the detections ``references [D, 4 + 1 + K]``.

    The first is of all masks, the others are of the two halves: how far D-RISE agrees with itself.
    What a mask covers becomes ``fill``, RGB; black by default, as in the paper.
    """
    from xaitk_saliency.impls.gen_detector_prop_sal.drise_scoring import DRISEScoring
    from xaitk_saliency.utils.masking import occlude_image_batch

    proposals = []
    for start in range(0, MASKS, 200):
        part = masks()[start : start + 200]
        proposals.append(black_box.proposals(occlude_image_batch(frame, part, fill=fill)))
    found = np.concatenate(proposals)
    half = MASKS // 2
    parts = (slice(None), slice(half), slice(half, None))
    scoring = DRISEScoring()
    return np.stack([scoring.generate(references, found[part], masks()[part]) for part in parts]).astype(
        np.float32
    )


def highest(saliency: Array) -> tuple[float, float]:
    """Return (x, y) of the highest place of ``saliency [H, W]``."""
    row, column = divmod(int(saliency.argmax()), saliency.shape[1])
    return column + 0.5, row + 0.5
