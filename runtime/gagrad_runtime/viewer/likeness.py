"""What makes frames alike: where their maps point, and what they look like. Two numbers of 64 bits each.

Where maps point is known of every explanation, as the cells of a grid of 8 × 8 over the frame that its
strongest places cover; two maps are as alike as their cells overlap. What a frame looks like is known where
its picture came: the signs of the differences between neighbours in a picture of 9 × 8 pixels.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.viewer.values import Place

GRID = 8
"""Cells along each side."""
PLACES = 3
"""Places of a map that are looked at."""
_LEAST = 0.3
"""Share of a cell, or of a place that is smaller, that a place must cover to count there."""
_LARGEST = 64 << 20
"""Pixels of the largest picture that is decoded."""


def cells_of(places: Sequence[Place], height: int | None, width: int | None) -> int:
    """Return the cells that the strongest of ``places`` cover in a frame of ``height`` × ``width`` pixels.

    Without its size the frame is taken to end where the last place ends.
    """
    high = height or max((place.box[3] for place in places), default=1)
    wide = width or max((place.box[2] for place in places), default=1)
    found = 0
    for place in places[:PLACES]:
        left, top, right, bottom = place.box
        rows = _covered(top, bottom, max(high, 1))
        columns = _covered(left, right, max(wide, 1))
        for row in rows:
            for column in columns:
                found |= 1 << row * GRID + column
    return found


def _covered(start: int, end: int, size: int) -> list[int]:
    """Return the cells along one side that ``start`` to ``end`` of ``size`` pixels cover enough of."""
    cell = size / GRID
    least = _LEAST * min(cell, max(end - start, 0))
    found = [
        number
        for number in range(GRID)
        if min(end, (number + 1) * cell) - max(start, number * cell) > max(least, 0)
    ]
    return found or [min(max(int((start + end) / 2 / cell), 0), GRID - 1)]


def numbers_of(cells: int) -> tuple[int, ...]:
    """Return the numbers of the cells, row by row from the top left."""
    found = []
    while cells:
        lowest = cells & -cells
        found.append(lowest.bit_length() - 1)
        cells ^= lowest
    return tuple(found)


def overlap(one: int, other: int) -> float:
    """Return how far the cells of two maps overlap, 0..1."""
    union = (one | other).bit_count()
    return (one & other).bit_count() / union if union else 0.0


def looks_of(jpeg: bytes) -> int | None:
    """Return what the picture in ``jpeg`` looks like; None where it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
            if picture.width * picture.height > _LARGEST:
                return None
            picture.draft("L", (GRID * 8, GRID * 8))
            small = picture.convert("L").resize((GRID + 1, GRID), Image.Resampling.BOX).tobytes()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    found = 0
    for row in range(GRID):
        line = small[row * (GRID + 1) : (row + 1) * (GRID + 1)]
        for column in range(GRID):
            found |= (line[column] < line[column + 1]) << row * GRID + column
    return found


def sameness(one: int, other: int) -> float:
    """Return how alike two pictures look, 0..1; two of different things have about 0.5."""
    return 1 - (one ^ other).bit_count() / (GRID * GRID)


def to_column(bits: int) -> int:
    """Return 64 ``bits`` as the signed number that a column holds."""
    return bits - (1 << 64) if bits >> 63 else bits


def from_column(value: int) -> int:
    """Return the 64 bits in a column."""
    return value & (1 << 64) - 1
