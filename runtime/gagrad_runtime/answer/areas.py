"""Areas: the cells of a spatial output that the model's answer consists of, and how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.question.output_region import OutputRegion, cells_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_CLOSEST = 0.01
"""Share of the cells that are explained where the model's answer has none: those with the highest scores."""
CLOSEST = "where it comes closest"
"""Name of that region."""


def frame_weights(placement: Placement, grid: tuple[int, int]) -> Array:
    """Return how much of each cell of ``grid`` (h, w) lies on the frame and not on padding, 0..1."""
    return cells_of(np.ones(placement.frame_size, np.float32), placement, grid)


def share_of(mask: Mask, weights: Array) -> float:
    """Return the share, 0..1, of what the model sees of the frame that ``mask [h, w]`` takes."""
    return float((mask * weights).sum(dtype=np.float64) / weights.sum(dtype=np.float64))


def components(mask: Mask) -> list[Mask]:
    """Return the connected parts of ``mask [h, w]``, the largest first; corners connect."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    order = 1 + np.argsort(-stats[1:count, cv2.CC_STAT_AREA], kind="stable")
    return [labels == label for label in order]


def found_region(mask: Mask, values: Array, name: str, instance: int | None = None) -> OutputRegion:
    """Return the cells of ``mask [h, w]``, or one connected part of them; else the cells with most.

    ``values [h, w]`` decide where ``mask`` is empty. ``instance`` counts from 1, the largest part first.
    Raises TargetError for one that is not there.
    """
    if instance is not None:
        parts = components(mask)
        if not 1 <= instance <= len(parts):
            raise TargetError(
                f"there is no area {instance}: the model finds {len(parts) or 'none'} here",
                where="instance",
                hint="leave `instance` out"
                if len(parts) < 2
                else f"give a number from 1, the largest area, to {len(parts)}",
            )
        more = f" of {len(parts)}" if len(parts) > 1 else ""
        return OutputRegion(f"area {instance}{more}", parts[instance - 1].astype(np.float32), found=True)
    if mask.any():
        return OutputRegion(name, mask.astype(np.float32), found=True)
    most = max(round(values.size * _CLOSEST), 1)
    least = np.partition(values.ravel(), -most)[-most]
    return OutputRegion(CLOSEST, (values >= least).astype(np.float32), found=True)
