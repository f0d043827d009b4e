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
_EDGE = 2
"""Width of the edge from which a membrane is carried on, in pixels."""
_SWEEPS, _COARSE_SWEEPS = 10, 2
"""Sweeps that smooth the membrane, and at each smaller size: these are cheap, and carry on what is far."""
_HALF_KNOWN = 0.5
"""From here on a pixel counts as edge at a smaller size."""


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
    soft = feathered(cover, frame.shape, beside=_EDGE)
    rows, columns = soft.rows, soft.columns
    part, here = image[:, rows, columns], frame[rows, columns]
    weight = soft.weight * here
    inside = weight > 0
    edge = _edge(inside) & here
    if good is None:
        taken = ~frame
        taken[rows, columns] |= inside
        for other in avoid:
            taken[other.top : other.bottom, other.left : other.right] = True
        piece = surface.piece(inside, edge, taken, (rows.start, columns.start))
    else:
        piece = good[:, rows, columns]
    base = np.zeros_like(part) if piece is None else piece
    fill = base + _membrane(part - base, edge)
    out: Array = image.copy()
    out[:, rows, columns] = np.clip(part + weight * (fill - part), 0, 1)
    return out


class Soft(NamedTuple):
    """How much is covered in a window of the image; nothing is outside it."""

    rows: slice
    columns: slice
    weight: Array
    """[h, w]: 1 where all of a pixel is covered."""


def feathered(cover: Cover, size: tuple[int, ...], *, beside: int = 0) -> Soft:
    """Return how much of each pixel is covered: 1 in an ellipse, falling to 0 over its soft edge.

    ``size`` (H, W) is the image's; the window has at least ``beside`` more pixels on each side, or the edge
    of the image. An ellipse, as the corners of a place's box seldom belong to it, and a box drawn on a part
    is a defect.
    """
    across, down = ((cover.right - cover.left) / 2 * ROUND, (cover.bottom - cover.top) / 2 * ROUND)
    soft = max(FEATHER * min(size), 1.0)
    reach = 1 + soft / min(across, down)
    rows = _stretch((cover.top + cover.bottom) / 2, down * reach + beside, size[0])
    columns = _stretch((cover.left + cover.right) / 2, across * reach + beside, size[1])
    y, x = np.ogrid[rows, columns]
    right = ((x + 0.5 - (cover.left + cover.right) / 2) / across).astype(np.float32)
    below = ((y + 0.5 - (cover.top + cover.bottom) / 2) / down).astype(np.float32)
    outside = (np.hypot(right, below) - 1) * min(across, down)
    weight: Array = np.clip(1 - outside / soft, 0, 1).astype(np.float32)
    return Soft(rows, columns, weight)


def _stretch(middle: float, reach: float, length: int) -> slice:
    """Return the pixels of a side of ``length`` that are within ``reach`` of ``middle``, and one more."""
    first, last = math.floor(middle - reach) - 1, math.ceil(middle + reach) + 1
    return slice(max(first, 0), min(last, length))


def _edge(inside: Mask) -> Mask:
    """Return the pixels around a hole, ``_EDGE`` wide."""
    kernel = np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)
    return np.asarray((cv2.dilate(inside.astype(np.uint8), kernel) > 0) & ~inside, np.bool_)


def _membrane(values: Array, edge: Mask) -> Array:
    """Return ``values [C, h, w]`` at ``edge``, carried on smoothly from there over the window.

    Where there is no edge, as the hole is the whole frame, it is 0.
    """
    if not edge.any():
        return np.zeros_like(values)
    # The last channel says how much is known of each pixel.
    known = np.ascontiguousarray(np.concatenate([values, np.ones_like(values[:1])]).transpose(1, 2, 0))
    known *= edge[..., None]
    return np.ascontiguousarray(_carried_on(known, _SWEEPS)[..., :-1].transpose(2, 0, 1))


def _carried_on(known: Array, sweeps: int) -> Array:
    """Return ``known [h, w, C + 1]`` with the gaps filled: from half the size, and then smoothed.

    The last channel is how much is known of each pixel, 0..1; the others are multiplied by it.
    """
    height, width = known.shape[:2]
    weight = known[..., -1:]
    if min(height, width) <= 2 or weight.min() > 0:
        mean = known.sum(axis=(0, 1), keepdims=True) / max(float(weight.sum()), 1e-6)
        return np.where(weight > 0, known / np.maximum(weight, 1e-6), mean)
    half = _resized(known, ((height + 1) // 2, (width + 1) // 2), cv2.INTER_AREA)
    wide = _resized(_carried_on(half, _COARSE_SWEEPS), (height, width), cv2.INTER_LINEAR)
    filled = np.asarray(known + (1 - weight) * wide, np.float32)
    free = (weight[..., 0] < _HALF_KNOWN).astype(np.uint8)
    for _ in range(sweeps):
        # One sweep of Jacobi's method.
        cv2.copyTo(cv2.blur(filled, (3, 3), borderType=cv2.BORDER_REPLICATE), free, filled)
    return filled


def _resized(values: Array, size: tuple[int, int], how: int) -> Array:
    """Return ``values [h, w, C]`` at ``size``; OpenCV takes few channels at once."""
    parts = [
        cv2.resize(values[..., first : first + 4], size[::-1], interpolation=how).reshape(*size, -1)
        for first in range(0, values.shape[2], 4)
    ]
    return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2), np.float32)
