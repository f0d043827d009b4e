"""Pieces of a part's own surface that a place can be covered with: where they are, and which fits best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Indices = NDArray[np.intp]

FITS = 0.25
"""Greatest misfit of a piece, in units of the variance along the place's own edge; beyond, the piece would
bring an edge or a hole where there was none."""
ALIKE = 3.0
"""Where no piece has more than this many times the coarse structure of another, the part is one texture that
looks the same everywhere, and any piece will do."""
_ENOUGH = 8
"""Pieces that this is judged by, at least."""
_COARSE = 0.0134
"""Standard deviation of the blur that leaves the coarse structure, as a share of the image's shorter side."""
_CALM = 3.0
"""Weight of the structure that a piece has in its middle and not along its edge."""
_DIRECTIONS = 16
"""Directions in which a piece is looked for."""
_DISTANCES = (1.0, 1.35, 1.8, 2.5)
"""Distances at which it is looked for, in units of the way that takes it off the place."""
_COMPARED, _CHECKED = 128, 4096
"""Pixels of edge and of middle that are compared, and of both that are checked to be free, spread evenly."""


class Surface:
    """The image of one part, ``[C, H, W]``, from which pieces are taken."""

    def __init__(self, image: Array, frame: Mask) -> None:
        self.image = image
        self.frame = frame
        """[H, W], where the frame is; nothing is taken from beside it."""
        blur = _COARSE * min(frame.shape)
        coarse = [cv2.GaussianBlur(plane, (0, 0), blur) for plane in image]
        self._coarse: Array = np.stack(coarse).reshape(len(image), -1).astype(np.float32)

    def piece(self, inside: Mask, edge: Mask, taken: Mask, corner: tuple[int, int]) -> Array | None:
        """Return the piece ``[C, h, w]`` that fits the hole best; None where none fits.

        ``inside`` and ``edge [h, w]`` are the hole and the pixels around it, in the window whose first pixel
        is ``corner`` (row, column); nothing is taken where ``taken [H, W]``.

        Compared is the coarse structure along the edge, less its mean, as that is carried over. Fine grain
        need not fit: it is never the same twice.
        """
        if not edge.any():
            return None
        ways = self._free(inside | edge, taken, corner)
        if not len(ways):
            return None
        width = self.frame.shape[1]
        here = corner[0] * width + corner[1]
        shift = ways[:, 0] * width + ways[:, 1]
        rim, middle = (_spread(_flat(mask, width), _COMPARED) + here for mask in (edge, inside))
        own, rims = self._coarse[:, rim], self._coarse[:, rim + shift[:, None]]
        strength = self._coarse[:, middle + shift[:, None]].var(axis=2)
        rough = np.maximum(strength - rims.var(axis=2), 0).mean(axis=0)
        misfit = (own[:, None] - rims).var(axis=2).mean(axis=0) + _CALM * rough
        best = int(misfit.argmin())
        strengths = strength.mean(axis=0)
        flat = self.image.reshape(len(self.image), -1)
        edges = float(flat[:, _flat(edge, width) + here].var(axis=1).mean())
        alike = len(ways) >= _ENOUGH and strengths.max() <= ALIKE * strengths.min()
        if not alike and misfit[best] > FITS * edges:
            return None
        return self._at(corner[0] + int(ways[best, 0]), corner[1] + int(ways[best, 1]), inside.shape)

    def _free(self, needed: Mask, taken: Mask, corner: tuple[int, int]) -> Indices:
        """Return the ways (rows, columns) [n, 2] off the place to pieces that are free to take."""
        height, width = taken.shape
        rows, columns = np.flatnonzero(needed.any(axis=1)), np.flatnonzero(needed.any(axis=0))
        ways = _ways(int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        top, left = corner[0] + rows[0] + ways[:, 0], corner[1] + columns[0] + ways[:, 1]
        bottom, right = top + np.ptp(rows), left + np.ptp(columns)
        ways = ways[(top >= 0) & (left >= 0) & (bottom < height) & (right < width)]
        pixels = _spread(_flat(needed, width), _CHECKED) + corner[0] * width + corner[1]
        shift = ways[:, 0] * width + ways[:, 1]
        free: Indices = ways[~taken.ravel()[pixels + shift[:, None]].any(axis=1)]
        return free

    def _at(self, top: int, left: int, size: tuple[int, ...]) -> Array:
        """Return the part of the image at (top, left), 0 beyond its edges: these pixels are not used."""
        height, width = self.frame.shape
        piece = np.zeros((len(self.image), *size), np.float32)
        first, last = max(top, 0), min(top + size[0], height)
        begin, end = max(left, 0), min(left + size[1], width)
        part = self.image[:, first:last, begin:end]
        piece[:, first - top : last - top, begin - left : end - left] = part
        return piece


def _ways(tall: int, wide: int) -> Indices:
    """Return the ways (rows, columns) at which a piece is looked for, in a fixed order."""
    ways = []
    for distance in _DISTANCES:
        for turn in range(_DIRECTIONS):
            angle = 2 * math.pi * turn / _DIRECTIONS
            reach = distance / max(abs(math.cos(angle)) / wide, abs(math.sin(angle)) / tall)
            ways.append((round(reach * math.sin(angle)), round(reach * math.cos(angle))))
    return np.array(ways, np.intp)


def _flat(mask: Mask, width: int) -> Indices:
    """Return the pixels of a window's ``mask`` as flat indices of an image of ``width``."""
    rows, columns = np.nonzero(mask)
    return rows * width + columns


def _spread(pixels: Indices, most: int) -> Indices:
    """Return at most about ``most`` of ``pixels``, evenly."""
    return pixels[:: max(len(pixels) // most, 1)]
