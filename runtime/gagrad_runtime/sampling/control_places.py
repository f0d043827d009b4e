"""Control places: as large as place 1 and elsewhere, where the part looks like its surroundings.

Covering any place of a fragile model's image changes the answer. So what covering place 1 does is compared
with what covering as much of the same surface does elsewhere. The choice is fixed: the same image and places
give the same controls.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_runtime.sampling.covering_images import FEATHER, ROUND, Cover

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Wide = NDArray[np.float64]

CONTROLS = 2
"""Control places that are covered, where there is room for them."""
_STEPS = 4
"""Positions that are tried along the side of a place."""
_QUIET = 1e-4
"""Variance below which surfaces count as equally smooth: 1/100 of the range from black to white."""


def control_covers(
    image: Array, cover: Cover, seen: Cover, taken: tuple[Cover, ...], number: int = CONTROLS
) -> tuple[Cover, ...]:
    """Return up to ``number`` places of the size of ``cover`` in ``image [C, H, W]``, best first.

    They lie in ``seen``, where the frame is, and touch neither ``taken``, the places of the map, nor each
    other. Chosen are those whose brightness and structure are most like those around ``cover``.
    """
    width, height = cover.right - cover.left, cover.bottom - cover.top
    tops, lefts = _starts(seen.top, seen.bottom, height), _starts(seen.left, seen.right, width)
    all_of = [Cover(left, top, left + width, top + height) for top in tops for left in lefts]
    free = _clear(all_of, taken, image.shape[1:])
    if not free:
        return ()
    sums = _Sums(image)
    mean, variance = sums.around(cover, seen)
    level, structure = sums.of(free)
    unlike = np.abs(np.log((structure + _QUIET) / (variance + _QUIET)))
    unlike += np.abs(level - mean).mean(axis=1) / max(float(image.std()), 1e-3)
    chosen: list[Cover] = []
    for index in np.argsort(unlike, kind="stable"):
        other = free[index]
        if len(chosen) == number:
            break
        if not any(other.overlaps(one) for one in chosen):
            chosen.append(other)
    return tuple(chosen)


class _Sums:
    """Sums over rectangles of an image: their mean, and the variance about it, without visiting pixels."""

    def __init__(self, image: Array) -> None:
        planes = np.ascontiguousarray(image.transpose(1, 2, 0), np.float64)
        self._first, self._second = (_integral(values) for values in (planes, np.square(planes)))

    def of(self, covers: list[Cover]) -> tuple[Wide, Wide]:
        """Return for each the mean of each channel, [n, C], and the variance, averaged over them, [n]."""
        first, second = (_between(table, covers) for table in (self._first, self._second))
        return _moments(first, second, np.array([_pixels(one) for one in covers], np.float64))

    def around(self, cover: Cover, seen: Cover) -> tuple[Wide, float]:
        """Return the same of what surrounds ``cover``, half its sides wide, else of the frame."""
        across, down = max((cover.right - cover.left) // 2, 2), max((cover.bottom - cover.top) // 2, 2)
        wide = Cover(
            max(cover.left - across, seen.left),
            max(cover.top - down, seen.top),
            min(cover.right + across, seen.right),
            min(cover.bottom + down, seen.bottom),
        )
        outer, inner = (seen, None) if wide == cover else (wide, cover)
        first, second = (_between(table, [outer]) for table in (self._first, self._second))
        pixels = _pixels(outer)
        if inner is not None:
            first, second = first - _between(self._first, [inner]), second - _between(self._second, [inner])
            pixels -= _pixels(inner)
        mean, variance = _moments(first, second, np.array([pixels], np.float64))
        return mean[0], float(variance[0])


def _moments(first: Wide, second: Wide, pixels: Wide) -> tuple[Wide, Wide]:
    """Return means and variances from sums [n, C] over values and over squares of ``pixels [n]``."""
    mean = first / pixels[:, None]
    variance = np.maximum(second / pixels[:, None] - np.square(mean), 0).mean(axis=1)
    return mean, variance


def _between(table: Wide, covers: list[Cover]) -> Wide:
    """Return the sums [n, C] over rectangles, from the sums over all that lies above and left of a pixel."""
    left, top, right, bottom = np.array(covers).T
    found: Wide = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return found


def _integral(values: Wide) -> NDArray[np.float64]:
    planes = [cv2.integral(plane, sdepth=cv2.CV_64F) for plane in np.moveaxis(values, 2, 0)]
    return np.stack(planes, axis=2).astype(np.float64)


def _starts(first: int, last: int, length: int) -> list[int]:
    """Return where a side of ``length`` may begin between ``first`` and ``last``: evenly, with the ends."""
    room = last - first - length
    if room < 0:
        return []
    count = min(math.ceil(_STEPS * room / length) + 1, room + 1)
    return [first + round(room * step / max(count - 1, 1)) for step in range(count)]


def _clear(places: list[Cover], taken: tuple[Cover, ...], size: tuple[int, ...]) -> list[Cover]:
    """Return those of ``places``, all of one size, that touch none of ``taken`` when they are covered.

    Covers have soft edges.
    """
    if not places:
        return []
    soft = max(FEATHER * min(size), 1.0)
    left, top, right, bottom = np.array(places).T
    free = np.ones(len(places), np.bool_)
    for other in taken:
        across, down = (
            math.ceil((ROUND - 1) / 2 * max(int(last[0] - first[0]), end - begin) + soft)
            for first, last, begin, end in (
                (left, right, other.left, other.right),
                (top, bottom, other.top, other.bottom),
            )
        )
        beside = (left >= other.right + across) | (right <= other.left - across)
        free &= beside | (top >= other.bottom + down) | (bottom <= other.top - down)
    return [one for one, clear in zip(places, free.tolist(), strict=True) if clear]


def _pixels(cover: Cover) -> int:
    return (cover.right - cover.left) * (cover.bottom - cover.top)
