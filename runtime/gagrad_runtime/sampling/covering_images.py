"""Images with one place covered, so that the model can be asked what it says without it.

What is put over a place must not be a defect itself: a grey box has edges and a colour that no part has. A
place is covered with a piece of the same part from beside it, whose brightness is carried over smoothly from
the place's own edge (a membrane: Laplace's equation between the edge's differences, as in Poisson image
editing, Pérez et al. 2003). Where no piece fits, the membrane alone. Where the same place of good parts is
known, that is the piece. docs/methods.md has what was compared.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from gagrad_runtime.frame.placement import resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.sampling.pieces import Surface

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]


class Size(NamedTuple):
    """How large a cover is, in shares of the image's shorter side."""

    grown: float
    """By how much the place is widened on each side."""
    least: float
    """Least side."""


CLOSE, WIDE = Size(0.02, 0.06), Size(0.06, 0.14)
"""A place's covers. The map often points at a part of a defect: what is left beside a close cover may be
enough for the model. A wide one takes features of the part with it."""
FEATHER = 0.02
"""Width of the soft edge around a covered place, as a share of the image's shorter side."""
MOST = 0.4
"""Greatest side of what is covered, as a share of the frame's side in the image: a larger place is covered
around its peak. Beyond, there are no surroundings to cover it with, and every answer would change."""
ROUND = 1.1
"""Axes of the ellipse that is covered, in units of the sides of the place's box."""
_RELAXED = 20
"""Sweeps that smooth the membrane."""


class Cover(NamedTuple):
    """What is covered: (left, top, right, bottom) in whole pixels of the model's image."""

    left: int
    top: int
    right: int
    bottom: int

    def moved(self, columns: int, rows: int) -> Cover:
        """Return the same size at another place."""
        return Cover(self.left + columns, self.top + rows, self.right + columns, self.bottom + rows)

    def overlaps(self, other: Cover) -> bool:
        """Whether the two have a pixel in common."""
        return (
            max(self.left, other.left) < min(self.right, other.right)
            and max(self.top, other.top) < min(self.bottom, other.bottom)
        )  # fmt: skip


def cover_of(
    box: tuple[float, float, float, float],
    peak: tuple[float, float],
    seen: Cover,
    size: tuple[int, int],
    wanted: Size,
) -> Cover:
    """Return what is covered of a place: its ``box``, widened as ``wanted``, of a size that can be covered.

    ``box`` and ``peak`` (x, y) are in pixels of the image of ``size`` (H, W); ``seen`` is where the frame is.
    """
    columns = _side(box[0], box[2], peak[0], (seen.left, seen.right), min(size), wanted)
    rows = _side(box[1], box[3], peak[1], (seen.top, seen.bottom), min(size), wanted)
    return Cover(columns[0], rows[0], columns[1], rows[1])


def _side(
    low: float, high: float, peak: float, seen: tuple[int, int], shorter: int, wanted: Size
) -> tuple[int, int]:
    """Return the first pixel of a side and one past the last: grown, not too small, and not too large."""
    length = max(high - low + 2 * wanted.grown * shorter, wanted.least * shorter)
    first = (low + high - length) / 2
    most = max(MOST * (seen[1] - seen[0]), 1.0)
    if length > most:
        first = min(max(peak - most / 2, first), first + length - most)
        length = most
    begin = min(max(math.floor(first), seen[0]), seen[1] - 1)
    return begin, max(min(math.ceil(first + length), seen[1]), begin + 1)


def covered(surface: Surface, cover: Cover, avoid: tuple[Cover, ...], good: Array | None = None) -> Array:
    """Return the image of ``surface``, ``[C, H, W]`` in 0..1, with ``cover`` covered.

    Nothing is taken from ``avoid``, the places of the map. ``good [C, H, W]`` is the same image of good
    parts, if that is known.
    """
    image, frame = surface.image, surface.frame
    weight = feathered(cover, frame.shape) * frame
    hole = weight > 0
    rows, columns = _window(hole)
    part, inside = image[:, rows, columns], hole[rows, columns]
    edge = _edge(inside) & frame[rows, columns]
    if good is None:
        taken = hole | ~frame
        for other in avoid:
            taken[other.top : other.bottom, other.left : other.right] = True
        piece = surface.piece(inside, edge, taken, (rows.start, columns.start))
    else:
        piece = good[:, rows, columns]
    base = np.zeros_like(part) if piece is None else piece
    fill = base + _membrane(part - base, inside, edge)
    out: Array = image.copy()
    out[:, rows, columns] = np.clip(part + weight[rows, columns] * (fill - part), 0, 1)
    return out


def feathered(cover: Cover, size: tuple[int, ...]) -> Array:
    """Return how much of each pixel ``[H, W]`` is covered: 1 in an ellipse, falling to 0 over its soft edge.

    An ellipse, as the corners of a place's box seldom belong to it, and a box drawn on a part is a defect.
    """
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    across, down = ((cover.right - cover.left) / 2 * ROUND, (cover.bottom - cover.top) / 2 * ROUND)
    beside = (x + 0.5 - (cover.left + cover.right) / 2) / across
    above = (y + 0.5 - (cover.top + cover.bottom) / 2) / down
    outside = (np.hypot(beside, above) - 1) * min(across, down)
    weight: Array = np.clip(1 - outside / max(FEATHER * min(size), 1.0), 0, 1).astype(np.float32)
    return weight


def _window(hole: Mask) -> tuple[slice, slice]:
    """Return the rows and columns around ``hole`` that are needed: the hole and as much again around it."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    around = max(2, (bottom - top + right - left) // 4)
    height, width = hole.shape
    return (
        slice(max(top - around, 0), min(bottom + around, height)),
        slice(max(left - around, 0), min(right + around, width)),
    )


def _edge(inside: Mask) -> Mask:
    """Return the pixels around a hole, two wide."""
    return np.asarray(
        (cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~inside, np.bool_
    )


def _membrane(values: Array, inside: Mask, edge: Mask) -> Array:
    """Return ``values [C, h, w]`` at ``edge``, carried on smoothly over the hole ``inside``; else as given.

    Where there is no edge, as the hole is the whole frame, it is 0.
    """
    if not edge.any():
        return np.zeros_like(values)
    known = values * edge
    start = np.where(edge, known, _pulled(known, edge.astype(np.float32))).transpose(1, 2, 0)
    start, free = np.ascontiguousarray(start), np.repeat(inside[..., None], len(values), axis=2)
    for _ in range(_RELAXED):
        # One sweep of Jacobi's method; outside the hole's edge the values count for nothing.
        mean = cv2.blur(start, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(start.shape)
        np.copyto(start, mean, where=free)
    return np.ascontiguousarray(start.transpose(2, 0, 1))


def _pulled(values: Array, weight: Array) -> Array:
    """Return ``values [C, h, w]`` with the gaps filled from the image at ever coarser sizes.

    ``weight [h, w]`` says how much is known of each pixel, 0..1; ``values`` are multiplied by it.
    """
    if min(weight.shape) <= 2 or (weight > 0).all():
        mean = values.sum(axis=(1, 2), keepdims=True) / max(float(weight.sum()), 1e-6)
        return np.where(weight > 0, values / np.maximum(weight, 1e-6), mean)
    half = ((weight.shape[0] + 1) // 2, (weight.shape[1] + 1) // 2)
    coarse = _pulled(np.stack([resample(plane, half) for plane in values]), resample(weight, half))
    wide = np.stack([resample(plane, (weight.shape[0], weight.shape[1])) for plane in coarse])
    return np.asarray(values + (1 - weight) * wide, np.float32)
