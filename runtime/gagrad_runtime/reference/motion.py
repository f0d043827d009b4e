"""Motion: how one part lies relative to another, in the plane: shifted, turned, scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Matrix = NDArray[np.float64]


REACH = 0.12
"""Largest shift along an axis that is looked for, as a share of the longer side."""
FARTHEST_TURN, FARTHEST_SCALE = math.radians(9), 1.1
_AT_ONCE = 4
"""Channels that OpenCV moves at once."""


@dataclass(frozen=True)
class Motion:
    """Where the points of a template are in an image of the same size; the centre turns about itself.

    A point at ``c + p`` of the template, c the centre, is at ``c + scale·R(turn)·p + (x, y)`` of the image.
    """

    x: float = 0.0
    """Shift to the right, as a share of the image's longer side."""
    y: float = 0.0
    """Shift downwards, as a share of the image's longer side."""
    turn: float = 0.0
    """Radians, from the x axis towards the y axis."""
    scale: float = 1.0

    @property
    def farthest(self) -> bool:
        """Whether the part is as far away as is looked for, so that it may be farther."""
        shifted = max(abs(self.x), abs(self.y)) >= 0.99 * REACH
        turned = abs(self.turn) >= 0.99 * FARTHEST_TURN
        return shifted or turned or abs(math.log(self.scale)) >= 0.99 * math.log(FARTHEST_SCALE)

    def matrix(self, size: tuple[int, int]) -> Matrix:
        """Return the affine matrix [2, 3] from pixels of the template to pixels of the image (H, W)."""
        height, width = size
        side = max(size)
        cosine, sine = self.scale * math.cos(self.turn), self.scale * math.sin(self.turn)
        across, down = (width - 1) / 2, (height - 1) / 2
        return np.array(
            [
                [cosine, -sine, across - cosine * across + sine * down + self.x * side],
                [sine, cosine, down - sine * across - cosine * down + self.y * side],
            ]
        )

    def onto_template(self, image: Array, *, border: float | None = None) -> Array:
        """Return ``image [H, W]`` or [H, W, C] moved to where the template is; same size.

        Beyond the image its edge goes on, or the value ``border``.
        """
        return _warped(image, self.matrix(_size(image)), border)

    def seen(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return where ``onto_template`` finds pixels of the image, [H, W]."""
        return self.onto_template(np.ones(size, np.float32), border=0.0) > 0.99

    def onto_image(self, template: Array, *, border: float | None = None) -> Array:
        """Return ``template [H, W]`` or [H, W, C] moved to where the image's part is; same size."""
        inverse = np.asarray(cv2.invertAffineTransform(self.matrix(_size(template))), np.float64)
        return _warped(template, inverse, border)

    def distance(self, other: Motion, size: tuple[int, int]) -> float:
        """Return how far apart both put the same points, in pixels: the root mean square over the image."""
        height, width = size
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
        points = (corners - corners.mean(axis=0)) / math.sqrt(3) + corners.mean(axis=0)
        # Four points at 1/√3 of the way to the corners have the mean square of the whole rectangle.
        homogeneous = np.concatenate([points, np.ones((4, 1))], axis=1)
        apart = homogeneous @ (self.matrix(size) - other.matrix(size)).T
        return float(np.sqrt((apart**2).sum(axis=1).mean()))


def _warped(values: Array, matrix: Matrix, border: float | None) -> Array:
    height, width = _size(values)
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    planes = values[..., None] if values.ndim == 2 else values
    moved = np.empty(planes.shape, np.float32)
    for first in range(0, planes.shape[2], _AT_ONCE):
        some = np.ascontiguousarray(planes[..., first : first + _AT_ONCE], np.float32)
        found = cv2.warpAffine(
            some, matrix, (width, height), flags=flags, borderMode=mode, borderValue=(border or 0.0,) * 4
        )
        moved[..., first : first + _AT_ONCE] = found.reshape(some.shape)
    return moved.reshape(values.shape)


def _size(values: Array) -> tuple[int, int]:
    return int(values.shape[0]), int(values.shape[1])
