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

CONTROLS = 3
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
    tops = _starts(seen.top, seen.bottom, height)
    lefts = _starts(seen.left, seen.right, width)
    sums = _Sums(image)
    mean, variance = sums.around(cover, seen)
    spread = max(float(image.std()), 1e-3)
    found = []
    for top in tops:
        for left in lefts:
            other = Cover(left, top, left + width, top + height)
            if any(_near(other, one, image.shape[1:]) for one in taken):
                continue
            level, structure = sums.of(other)
            unlike = abs(math.log((structure + _QUIET) / (variance + _QUIET)))
            unlike += float(np.abs(level - mean).mean()) / spread
            found.append((unlike, other))
    chosen: list[Cover] = []
    for _, other in sorted(found):
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

    def of(self, cover: Cover) -> tuple[NDArray[np.float64], float]:
        """Return the mean of each channel, and the variance, averaged over the channels."""
        return self._moments(self._sum(self._first, cover), self._sum(self._second, cover), cover)

    def around(self, cover: Cover, seen: Cover) -> tuple[NDArray[np.float64], float]:
        """Return the same of what surrounds ``cover``, half its sides wide, else of the frame."""
        across, down = max((cover.right - cover.left) // 2, 2), max((cover.bottom - cover.top) // 2, 2)
        wide = Cover(
            max(cover.left - across, seen.left),
            max(cover.top - down, seen.top),
            min(cover.right + across, seen.right),
            min(cover.bottom + down, seen.bottom),
        )
        if wide == cover:
            return self.of(seen)
        first, second = (
            self._sum(table, wide) - self._sum(table, cover) for table in (self._first, self._second)
        )
        return self._moments(first, second, wide, less=cover)

    @staticmethod
    def _moments(
        first: NDArray[np.float64], second: NDArray[np.float64], cover: Cover, less: Cover | None = None
    ) -> tuple[NDArray[np.float64], float]:
        pixels = _pixels(cover) - (0 if less is None else _pixels(less))
        mean = first / pixels
        return mean, float(np.maximum(second / pixels - np.square(mean), 0).mean())

    @staticmethod
    def _sum(table: NDArray[np.float64], cover: Cover) -> NDArray[np.float64]:
        left, top, right, bottom = cover
        found: NDArray[np.float64] = (
            table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        )
        return found


def _integral(values: NDArray[np.float64]) -> NDArray[np.float64]:
    planes = [cv2.integral(plane, sdepth=cv2.CV_64F) for plane in np.moveaxis(values, 2, 0)]
    return np.stack(planes, axis=2).astype(np.float64)


def _starts(first: int, last: int, length: int) -> list[int]:
    """Return where a side of ``length`` may begin between ``first`` and ``last``: evenly, with the ends."""
    room = last - first - length
    if room < 0:
        return []
    count = min(math.ceil(_STEPS * room / length) + 1, room + 1)
    return [first + round(room * step / max(count - 1, 1)) for step in range(count)]


def _near(one: Cover, other: Cover, size: tuple[int, ...]) -> bool:
    """Whether two places touch when they are covered, with the soft edges."""
    soft = max(FEATHER * min(size), 1.0)
    across, down = (
        math.ceil((ROUND - 1) / 2 * side + soft)
        for side in (max(one[2] - one[0], other[2] - other[0]), max(one[3] - one[1], other[3] - other[1]))
    )
    wide = Cover(other.left - across, other.top - down, other.right + across, other.bottom + down)
    return one.overlaps(wide)


def _pixels(cover: Cover) -> int:
    return (cover.right - cover.left) * (cover.bottom - cover.top)
