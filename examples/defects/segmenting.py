"""How well segmented pixels meet the truth: intersection over union of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from examples.defects.answers import answers
from examples.defects.parts import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from examples.defects.defective import DefectiveParts


def intersections(
    said: NDArray[np.integer], truth: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each class, the pixels of intersection and of union of two arrays of classes."""
    kinds = range(len(CLASSES))
    common = [int(((said == kind) & (truth == kind)).sum()) for kind in kinds]
    union = [int(((said == kind) | (truth == kind)).sum()) for kind in kinds]
    return np.array(common, np.int64), np.array(union, np.int64)


def shares(model: Path, parts: DefectiveParts, batch: int = 20) -> dict[str, float]:
    """Return each class's intersection over union, the pixels of all parts taken together."""
    common, union = np.zeros(len(CLASSES), np.int64), np.zeros(len(CLASSES), np.int64)
    images, classes = parts.images.numpy(), parts.classes.numpy()
    for start in range(0, len(parts), batch):
        (logits,) = answers(model, images[start : start + batch], ("logits",))
        more, wider = intersections(logits.argmax(1), classes[start : start + batch])
        common, union = common + more, union + wider
    names = ("background", *CLASSES[1:])
    return dict(zip(names, (common / np.maximum(union, 1)).tolist(), strict=True))


def report(model: Path, parts: DefectiveParts) -> str:
    """Return the segmenter's figures on ``parts``, as a Markdown table."""
    found = shares(model, parts)
    rows = ["| class | pixels | IoU |", "|---|---|---|"]
    for label, (name, share) in enumerate(found.items()):
        rows.append(f"| {name} | {int((parts.classes == label).sum()):,} | {share:.3f} |")
    mean = np.mean(list(found.values())[1:])
    rows.append(f"| mean of the defects | on {len(parts)} parts | {mean:.3f} |")
    return "\n".join(rows)
