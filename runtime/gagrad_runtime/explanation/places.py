"""Places of a map: where it is high, with their boxes in the frame, areas and shares of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from gagrad_edge.method.product import AWAY, NEAR, side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.method.product import Witnesses
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Point = tuple[int, int]

QUANTILE = 0.95
"""Quantile of the map above which a place is salient: the top 5 %."""
MOST = 10
"""Number of places that are listed at most."""
SPECK = 0.01
"""Share of the map's sum below which a place is a speck and left out."""
FURTHER = 0.5
"""Height of a further peak, as a share of the highest, from which it is a place."""
LARGEST = 0.1
"""Largest area of a place, as a share of the frame: a person cannot walk up to half of a part."""
CLEAR = 3.0
"""Difference to good parts, in their deviations, that noise and texture do not reach."""
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of a peak's height above which its area is sought, until no other peak is in it."""
_FILLED = 2
"""Mark of the pixels that hang together with a peak."""


Evidence = Literal["map", "finer activation", "activation", "reference", "covering"]
"""What points at a place: the map; the class activation at the finer layer, or at all layers, where it is
highest elsewhere; the difference to the good reference alone; or covering alone, which was tried there as the
gradient expected an effect."""


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
    middle: tuple[float, float]
    """(x, y) of the place's pixel nearest to its centre of gravity: where to look. A map is often highest at
    the edge of what it is about."""
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
    count, labels, _, _ = cv2.connectedComponentsWithStats(salient.astype(np.uint8), connectivity=8)
    mass = np.bincount(labels.ravel(), clean.ravel().astype(np.float64), count) / total
    chosen = [label for label in 1 + np.argsort(-mass[1:], kind="stable") if mass[label] >= SPECK]
    found = []
    for label in chosen[:most]:
        inside = labels == label
        highest = _highest(np.where(inside, softened, -1))
        found.append(_place(inside, highest, float(mass[label]), placement))
    return tuple(found)


def peak_places(
    saliency: Array,
    witnesses: Witnesses | None,
    placement: Placement,
    difference: Array | None = None,
    *,
    most: int = MOST,
) -> tuple[Place, ...]:
    """Return the places of the operator's map, the strongest first, by the peaks of ``saliency [H, W]``.

    Place 1 is the highest peak. Then come places on other evidence alone: where the ``difference [H, W]`` to
    good parts is highest, or, without good parts, the witness at the finer layer, if that is farther than
    ``NEAR``, and a difference ``CLEAR``; and where the second witness is highest ``AWAY`` from these, and
    ``FURTHER`` as high as anywhere. It need be no peak: a cell of it is so large that a feature that is
    absent often lies beside place 1, on the same hill. With a ``difference`` it has to be one. Then come
    further peaks that are ``FURTHER`` as high as the first, at most ``most`` places in all. A place is the
    connected area above half of its own peak, and at most ``LARGEST``; a further peak within it is part of
    it. Padding beside the frame does not count. A flat map has none.
    """
    rows, columns = placement.on_model
    values = np.nan_to_num(saliency, nan=0.0, posinf=0.0, neginf=0.0)[rows, columns]
    if values.max() == values.min():
        return ()
    near = NEAR * side(values.shape)
    first, *others = _peaks(values, near, most)
    taken = _around(values, first)
    spots: list[tuple[Point, Mask, Evidence]] = [(first, taken, "map")]
    apart = [first]
    for where, found, evidence in _beside(
        first,
        taken,
        None if difference is None else difference[rows, columns],
        None if witnesses is None else witnesses.second[rows, columns],
        None if witnesses is None or witnesses.finer is None else witnesses.finer[rows, columns],
    ):
        spots.append((where, _around(found, where, apart), evidence))
        apart.append(where)
    for peak in others:
        if not taken[peak] and all(math.dist(peak, one) > near for one in apart):
            area = _around(values, peak, apart)
            spots.append((peak, area, "map"))
            apart.append(peak)
            taken = taken | area
    total = float(values.sum(dtype=np.float64))
    places = []
    for (row, column), area, evidence in spots[:most]:
        inside = np.zeros(saliency.shape, bool)
        inside[rows, columns] = area
        share = float(values[area].sum(dtype=np.float64)) / total
        highest = (row + rows.start, column + columns.start)
        places.append(_place(inside, highest, share, placement, evidence))
    return tuple(places)


def supposed_place(
    saliency: Array, witnesses: Witnesses | None, places: tuple[Place, ...], placement: Placement
) -> Place | None:
    """Return where, beside ``places``, covering is expected to change the answer most; None for nowhere.

    It is no place until covering has changed the answer there; see ``gagrad_edge.method.product``. Its share
    is that of the map, ``saliency [H, W]``.
    """
    if witnesses is None or witnesses.effect is None:
        return None
    rows, columns = placement.on_model
    values = witnesses.effect[rows, columns]
    tops, near = _tops(values), NEAR * side(values.shape)
    for one in places:
        x, y = placement.point_to_model(*one.middle)
        around = _disc(values.shape, (round(y) - rows.start, round(x) - columns.start), near)
        tops[around[:2]][around[2]] = 0
    if not tops.max() > 0:
        return None
    highest = _highest(tops)
    point = highest[0] + rows.start, highest[1] + columns.start
    inside = np.zeros(witnesses.effect.shape, bool)
    inside[rows, columns] = area = _around(values, highest)
    shown = np.nan_to_num(saliency, nan=0.0, posinf=0.0, neginf=0.0)[rows, columns].astype(np.float64)
    share = float(shown[area].sum() / max(shown.sum(), 1e-30))
    return _place(inside, point, share, placement, "covering")


def _beside(
    first: Point, taken: Mask, difference: Array | None, second: Array | None, finer: Array | None
) -> Iterator[tuple[Point, Array, Evidence]]:
    """Yield the places beside ``first`` on other evidence than the map: where, on which map, what it is."""
    apart = [first]
    alone, least = (finer, 0.0) if difference is None else (difference, CLEAR)
    if alone is not None and alone.max() > 0:
        where = _highest(alone)
        if alone[where] >= least and math.dist(where, first) > NEAR * side(alone.shape):
            yield where, alone, "finer activation" if difference is None else "reference"
            apart.append(where)
    if second is None or second.max() <= 0:
        return
    shown = second if difference is None else np.where(taken, 0, _tops(second))
    shown = np.where(_away(second.shape, apart), shown, 0)
    where = _highest(shown)
    if shown[where] >= FURTHER * second.max():
        yield where, second, "activation"


def _place(
    inside: Mask, highest: Point, share: float, placement: Placement, evidence: Evidence = "map"
) -> Place:
    """Return the place whose pixels in the model's image are ``inside [H, W]``."""
    x, y, columns, rows = cv2.boundingRect(inside.astype(np.uint8))
    west, north, east, south = placement.box_to_frame((x, y, x + columns, y + rows))
    pixel = 1 / (placement.scale[0] * placement.scale[1])
    row, column = _middle(inside)
    return Place(
        box=(math.floor(west), math.floor(north), math.ceil(east), math.ceil(south)),
        area=max(round(int(inside.sum()) * pixel), 1),
        share=share,
        peak=placement.point_to_frame(highest[1] + 0.5, highest[0] + 0.5),
        middle=placement.point_to_frame(column + 0.5, row + 0.5),
        evidence=evidence,
    )


def _middle(inside: Mask) -> Point:
    """Return the pixel of ``inside [H, W]`` that is nearest to its centre of gravity."""
    rows, columns = np.nonzero(inside)
    nearest = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
    return int(rows[nearest]), int(columns[nearest])


def _highest(values: Array) -> Point:
    row, column = divmod(int(values.argmax()), values.shape[1])
    return row, column


def _away(shape: tuple[int, ...], points: Sequence[Point]) -> Mask:
    """Return where in ``shape`` (h, w) all of ``points`` are farther than ``AWAY``."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    limit = AWAY * side((shape[0], shape[1]))
    far: Mask = np.logical_and.reduce([np.hypot(y - row, x - column) > limit for row, column in points])
    return far


def _tops(values: Array) -> Array:
    """Return ``values [h, w]`` at its local maxima, and 0 elsewhere."""
    tops: Array = np.where(values == cv2.dilate(values, np.ones((3, 3), np.uint8)), values, 0)
    return tops


def _peaks(values: Array, near: float, most: int) -> list[Point]:
    """Return the peaks of ``values [h, w]``, the highest first; of several within ``near`` the highest."""
    tops, least = _tops(values), FURTHER * values.max()
    found: list[Point] = []
    while len(found) < most:
        highest = _highest(tops)
        if not (tops[highest] > 0 and tops[highest] >= least):
            break
        found.append(highest)
        rows, columns, within = _disc(values.shape, highest, near)
        tops[rows, columns][within] = 0
    return found


def _disc(shape: tuple[int, ...], middle: Point, radius: float) -> tuple[slice, slice, Mask]:
    """Return the pixels of ``shape`` (h, w) within ``radius`` of ``middle``: a window, and which of it."""
    rows, columns = (
        slice(max(at - math.ceil(radius), 0), min(at + math.ceil(radius) + 1, most))
        for at, most in zip(middle, shape, strict=True)
    )
    y, x = np.ogrid[rows, columns]
    within: Mask = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2
    return rows, columns, within


def _around(values: Array, peak: Point, apart: Sequence[Point] = ()) -> Mask:
    """Return the connected area around ``peak`` where ``values [h, w]`` are above half of their value there.

    Where that reaches one of the peaks ``apart``, or is larger than ``LARGEST``, only what is higher; where
    that does not help, half of ``NEAR`` around the peak. Never less than 3 × 3 pixels.
    """
    row, column = peak
    for share in _SHARES:
        high = (values >= share * values[peak]).astype(np.uint8)
        pixels, *_ = cv2.floodFill(high, None, (column, row), _FILLED, flags=8)
        if pixels <= LARGEST * high.size and not any(high[one] == _FILLED for one in apart):
            area: Mask = high == _FILLED
            break
    else:
        rows, columns, within = _disc(values.shape, peak, NEAR / 2 * side(values.shape))
        area = np.zeros(values.shape, bool)
        area[rows, columns] = within
    area[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    return area


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
