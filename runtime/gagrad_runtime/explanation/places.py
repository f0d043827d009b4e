"""Places of a map: where it is high, with their boxes in the frame, areas and shares of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]

QUANTILE = 0.95
"""Quantile of the map above which a place is salient: the top 5 %."""
MOST = 10
"""Number of places that are listed at most."""
SPECK = 0.01
"""Share of the map's sum below which a place is a speck and left out."""


Evidence = Literal["map", "activation", "reference"]
"""What points at a place: the map; the class activation alone, where it is highest elsewhere; or the
difference to the good reference alone."""


@dataclass(frozen=True)
class Place:
    """One connected place where the map is high; coordinates in frame pixels from the upper left."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom); the last two are one past the last pixel."""
    area: int
    """In frame pixels, rounded: the map is coarser than most frames."""
    share: float
    """Share of the map's sum on the frame, 0..1."""
    peak: tuple[float, float]
    """(x, y) of the highest point."""
    evidence: Evidence = "map"


def salient_places(
    saliency: Array, placement: Placement, *, quantile: float = QUANTILE, most: int = MOST
) -> tuple[Place, ...]:
    """Return the connected places where ``saliency [H, W]`` is above its ``quantile``, largest share first.

    The map is softened as on the picture; otherwise every pixel would be a place of its own. Padding beside
    the frame does not count, neither for the quantile. Pixels that touch at a corner are connected. Places
    with less than SPECK of the map's sum are left out, and at most ``most`` are returned. A flat map has
    none.
    """
    clean = np.nan_to_num(saliency, nan=0.0, posinf=0.0, neginf=0.0)
    softened, _ = soften(saliency)
    (top, left), (height, width) = (max(offset, 0) for offset in placement.offset), placement.resized
    seen = np.zeros(saliency.shape, bool)
    seen[top : top + height, left : left + width] = True
    total = float(clean[seen].sum(dtype=np.float64))
    if total <= 0 or softened[seen].max() == softened[seen].min():
        return ()
    salient = seen & (softened > np.quantile(softened[seen], quantile))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(salient.astype(np.uint8), connectivity=8)
    mass = np.bincount(labels.ravel(), clean.ravel().astype(np.float64), count) / total
    chosen = [label for label in 1 + np.argsort(-mass[1:], kind="stable") if mass[label] >= SPECK]
    pixel = 1 / (placement.scale[0] * placement.scale[1])
    found = []
    for label in chosen[:most]:
        x, y, columns, rows, pixels = (int(value) for value in boxes[label])
        west, north, east, south = placement.box_to_frame((x, y, x + columns, y + rows))
        row, column = divmod(int(np.where(labels == label, softened, -1).argmax()), softened.shape[1])
        found.append(
            Place(
                box=(math.floor(west), math.floor(north), math.ceil(east), math.ceil(south)),
                area=max(round(pixels * pixel), 1),
                share=float(mass[label]),
                peak=placement.point_to_frame(column + 0.5, row + 0.5),
            )
        )
    return tuple(found)


def soften(saliency: Array) -> tuple[Array, float]:
    """Return ``saliency [H, W]`` blurred for display, and the blur's standard deviation in pixels.

    Single bright pixels do not survive being scaled to a picture, and nobody can point at them; a blur of
    about a hundredth of the map's side keeps the places and drops the grain. The files with the bare map
    hold it unblurred. Values that are not finite count as 0.
    """
    clean = np.nan_to_num(saliency, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    sigma = round(min(clean.shape) / 100, 1)
    if sigma < 0.5:
        return clean, 0.0
    return np.asarray(cv2.GaussianBlur(clean, (0, 0), sigma), np.float32), sigma
