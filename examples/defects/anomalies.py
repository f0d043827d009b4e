"""How well anomaly scores tell good from bad, of parts and of pixels: the area under the ROC curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from examples.defects.answers import answers
from examples.defects.parts import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def auroc(scores: NDArray[np.float32], bad: NDArray[np.bool_]) -> float:
    """Return the chance that a bad one scores higher than a good one; equal scores count one half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place.ravel()]
    positives = int(bad.sum())
    above = rank[bad.ravel()].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (bad.size - positives)))


def report(
    model: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], masks: NDArray[np.bool_]
) -> str:
    """Return the scorer's figures as a Markdown table; pixels are those of all parts together."""
    scores, maps = answers(model, images, ("pred_score", "anomaly_map"))
    scores = scores[:, 0]
    rows = ["| parts | number | above the threshold | AUROC against good parts |", "|---|---|---|---|"]
    for label, name in enumerate(CLASSES):
        these = labels == label
        value = "" if label == 0 else f"{auroc(scores[these | (labels == 0)], _bad(labels, these)):.3f}"
        rows.append(f"| {name} | {these.sum()} | {(scores[these] > 0.5).sum()} | {value} |")
    bad = labels > 0
    value = f"{auroc(scores, bad):.3f}"
    rows.append(f"| all with a defect | {bad.sum()} | {(scores[bad] > 0.5).sum()} | {value} |")
    rows.append(f"| pixels | {masks.size:,}, {masks.sum():,} of defects | | {auroc(maps[:, 0], masks):.3f} |")
    return "\n".join(rows)


def _bad(labels: NDArray[np.int64], these: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return these[these | (labels == 0)]
