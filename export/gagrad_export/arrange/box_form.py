"""Which form boxes have, by their values: corners, or centre and size; in pixels or relative to the image."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_export.arrange.layout import Form, Unit

    Array = NDArray[np.float32]

_STRIDES = (4, 8, 16, 32, 64, 128)
_MOST = 0.99
"""Share of the boxes that must be plausible: a few may leave the image."""
_FEW = 8
"""Candidates below which it may be chance that corners look ordered."""
_SPREAD = 0.5
"""Share of the image that the centres of a grid's candidates span at least."""


@dataclass(frozen=True)
class BoxForm:
    """A form that boxes may have, and the evidence for it."""

    form: Form
    unit: Unit
    evidence: str


def box_forms(boxes: Array, size: tuple[int, int]) -> list[BoxForm]:
    """Return the forms that ``boxes [F, A, 4]`` can have in images of ``size = (H, W)``; most often one.

    Corners are ordered in every box. The centre of a small box in the image's lower right is larger than its
    size, so that centre and size are not ordered like corners, unless there are few boxes.
    """
    if np.ptp(boxes, axis=0).max() == 0:
        return []  # anchors: they are the same whatever the image holds
    unit: Unit = "pixels" if float(np.abs(boxes).max()) > 2 else "normalised"
    scale = np.array([size[1], size[0]], np.float32) if unit == "pixels" else np.ones(2, np.float32)
    one, two = boxes[..., :2] / scale, boxes[..., 2:] / scale
    where = "in pixels" if unit == "pixels" else "in 0..1 of the image"
    found = []
    if (two >= one).all() and _share((one > -1) & (two < 2)) >= _MOST:
        text = f"corners {where}, right ≥ left and bottom ≥ top in all of {boxes.shape[1]} boxes"
        found.append(BoxForm("xyxy", unit, text))
    few = boxes.shape[1] < _FEW
    if (not found or few) and _share(two >= 0) >= _MOST and _share((one > -0.5) & (one < 1.5)) >= _MOST:
        text = f"centre and size {where}: the sizes are not negative, and the centres lie in the image"
        found.append(BoxForm("cxcywh", unit, text))
    return found


def spans_image(boxes: Array, form: Form, size: tuple[int, int]) -> bool:
    """Whether the centres of ``boxes [F, A, 4]`` in pixels span the image, as those of a grid do."""
    centres = boxes[..., :2] if form == "cxcywh" else (boxes[..., :2] + boxes[..., 2:]) / 2
    extent = np.ptp(centres, axis=1) / np.array([size[1], size[0]])
    return bool((extent >= _SPREAD).all())


def grids(candidates: int, size: tuple[int, int]) -> tuple[tuple[int, ...], int] | None:
    """Return the strides of the grids that have this many cells together, and the candidates of each cell.

    None where no consecutive strides from 4 to 128 have.
    """
    for many in range(len(_STRIDES), 0, -1):
        for first in range(len(_STRIDES) - many + 1):
            strides = _STRIDES[first : first + many]
            cells = sum(ceil(size[0] / stride) * ceil(size[1] / stride) for stride in strides)
            each, rest = divmod(candidates, cells)
            if rest == 0 and 1 <= each <= 3 and each != 2:
                return strides, each
    return None


def _share(holds: NDArray[np.bool_]) -> float:
    return float(holds.mean())
