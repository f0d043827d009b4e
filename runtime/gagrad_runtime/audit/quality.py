"""What is measured of an image itself: brightness, contrast, sharpness, perceptual hash, shares of a map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from gagrad_runtime.audit.table import GRID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame

_SIDE, _LOW = 32, 8
"""Side of the image whose cosine transform is taken, and of its lowest frequencies that are kept."""
_LARGE = 1 << 20
"""Pixels above which every second row and column are left out: statistics need no more."""

_WAVES = cv2.dct(np.eye(_SIDE, dtype=np.float32), flags=cv2.DCT_ROWS).T[:_LOW]
"""``[8, 32]``: ``_WAVES @ image @ _WAVES.T`` are the lowest frequencies; a whole transform is slow."""


class Quality(NamedTuple):
    """What is measured of the frame; a camera that ages shows here first."""

    brightness: float
    contrast: float
    sharpness: float
    phash: int


def quality(frame: Frame, bits: int = 16) -> Quality:
    """Return brightness, contrast and sharpness, of 1 for white, and the perceptual hash of ``frame``.

    ``bits`` are those of a camera whose frame has more than eight.
    """
    pixels: NDArray[Any] = frame.picture
    step = 1
    while pixels.shape[0] * pixels.shape[1] > _LARGE * step**2:
        step *= 2
    white = float(frame.white or (1 << (bits if pixels.dtype == np.uint16 else 8)) - 1)
    grey = pixels = pixels[::step]
    if pixels.ndim == 3:  # made grey before columns are left out: pixels of three bytes are slow to pick
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.shape[2] == 3 else pixels[..., 0]
    grey = np.ascontiguousarray(grey[:, ::step])
    mean, deviation = cv2.meanStdDev(grey)
    sharpness = _edges(grey)
    return Quality(float(mean[0, 0]) / white, float(deviation[0, 0]) / white, sharpness / white, phash(grey))


def _edges(grey: NDArray[Any]) -> float:
    """Return the standard deviation of the Laplacian of ``grey [H, W]``.

    From the sum of squares, which takes half the time of ``meanStdDev``: each image of an audit pays it.
    """
    edges = cv2.Laplacian(grey, cv2.CV_16S if grey.dtype == np.uint8 else cv2.CV_32F)
    square = cv2.norm(edges, cv2.NORM_L2SQR) / edges.size
    return math.sqrt(max(square - cv2.mean(edges)[0] ** 2, 0.0))


def phash(grey: NDArray[Any]) -> int:
    """Return 64 bits of the pattern of ``grey [H, W]``: which low frequencies are above their median.

    The usual pHash: a small copy, its cosine transform, the lowest 8 by 8. The mean does not count.
    """
    small = cv2.resize(grey.astype(np.float32, copy=False), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = (_WAVES @ small @ _WAVES.T).ravel()
    bits = low > np.sort(low[1:])[len(low) // 2 - 1]
    bits[0] = False
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def shares(explanation: Explanation) -> bytes:
    """Return the map as shares of 16 by 16 cells of what the model sees of the frame, 255 for the largest.

    A map that is 0 everywhere stays 0.
    """
    rows, columns = explanation.placement.on_model
    seen = np.nan_to_num(explanation.saliency[rows, columns], nan=0.0, posinf=0.0, neginf=0.0)
    cells = cv2.resize(np.ascontiguousarray(seen), (GRID, GRID), interpolation=cv2.INTER_AREA)
    highest = float(cells.max())
    scaled = cells * (255.0 / highest) if highest > 0 else cells
    return np.round(scaled).astype(np.uint8).tobytes()


def unpacked(maps: list[bytes] | NDArray[Any]) -> NDArray[np.float32]:
    """Return ``maps``, as the column ``map`` has them, as shares ``[N, 16, 16]`` that add up to 1 each."""
    values = np.frombuffer(b"".join(maps), np.uint8).reshape(-1, GRID, GRID).astype(np.float32)
    totals = values.sum(axis=(1, 2), keepdims=True)
    divided: NDArray[np.float32] = np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
    return divided
