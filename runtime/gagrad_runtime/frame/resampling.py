"""Resampling as Pillow, OpenCV and torch do it, with their rounding.

Pillow and OpenCV are called themselves. A device has no torch: what it does is a weighted sum of a few pixels
along each axis, and the weights are computed below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec, Interpolation

    Array = NDArray[np.float32]
    Taps = tuple[NDArray[np.intp], NDArray[np.float32]]

_PIL: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "linear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_OPENCV: dict[Interpolation, int] = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


def resample_as(channel: NDArray[Any], size: tuple[int, int], spec: InputSpec, white: int) -> Array:
    """Return ``channel [h, w]`` (uint8 or uint16) as float32 of ``size``, as the library of ``spec`` does it.

    A channel of that size keeps its values. Pillow and OpenCV round to whole pixel values, torch does not;
    values that a cubic or Lanczos kernel drives out of 0..``white`` are limited, as all three do for pixels.
    """
    resampled: Any = channel
    if channel.shape != size:
        interpolation = spec.interpolation or "linear"
        if spec.semantics == "pil":
            plane = Image.fromarray(np.ascontiguousarray(channel))
            resampled = plane.resize(size[::-1], _PIL[interpolation])
        elif spec.semantics == "opencv":
            resampled = cv2.resize(
                np.ascontiguousarray(channel), size[::-1], interpolation=_OPENCV[interpolation]
            )
        else:
            resampled = _as_torch(channel, size, interpolation, antialias=bool(spec.antialias))
    limited: Array = np.clip(np.asarray(resampled, np.float32), 0, white)
    return limited


def _as_torch(
    channel: NDArray[Any], size: tuple[int, int], interpolation: Interpolation, *, antialias: bool
) -> Array:
    """Return what ``torch.nn.functional.interpolate`` with ``align_corners=False`` returns."""
    taps = {"nearest": _nearest_taps, "area": _area_taps}.get(interpolation)
    if taps is None and antialias:
        taps = _smooth_linear_taps if interpolation == "linear" else _smooth_cubic_taps
    elif taps is None:
        taps = _linear_taps if interpolation == "linear" else _cubic_taps
    pixels: Array = np.asarray(channel, np.float32)
    columns = _weighted(pixels.T, taps(pixels.shape[1], size[1])).T
    return _weighted(columns, taps(pixels.shape[0], size[0]))


def _weighted(rows: Array, taps: Taps) -> Array:
    """Return one weighted sum of ``rows`` for each row of the taps' indices and weights."""
    indices, weights = taps
    total = np.zeros((len(indices), rows.shape[1]), np.float32)
    for tap in range(indices.shape[1]):
        total += weights[:, tap, None] * rows[indices[:, tap]]
    return total


def _nearest_taps(length: int, wanted: int) -> Taps:
    # In float32, as torch computes it: the product can fall on the other side of a whole number.
    scale = np.float32(length) / np.float32(wanted)
    index = np.floor(np.arange(wanted, dtype=np.float32) * scale).astype(np.intp)
    return np.minimum(index, length - 1)[:, None], np.ones((wanted, 1), np.float32)


def _area_taps(length: int, wanted: int) -> Taps:
    """Return the taps of ``adaptive_avg_pool2d``: the mean of ⌊i·s⌋ … ⌈(i+1)·s⌉ with s = length / wanted."""
    first = np.arange(wanted) * length // wanted
    stop = -(-(np.arange(wanted) + 1) * length // wanted)
    return _window_taps(first, stop, length, lambda index: np.ones(index.shape))


def _linear_taps(length: int, wanted: int) -> Taps:
    position = np.maximum((np.arange(wanted) + 0.5) * (length / wanted) - 0.5, 0)
    first = np.minimum(position.astype(np.intp), length - 1)
    beyond = position - first
    indices = np.stack([first, np.minimum(first + 1, length - 1)], axis=1)
    return indices, np.stack([1 - beyond, beyond], axis=1).astype(np.float32)


def _cubic_taps(length: int, wanted: int) -> Taps:
    position = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    indices = np.floor(position).astype(np.intp)[:, None] + np.arange(-1, 3)
    weights = _cubic(indices - position[:, None], -0.75)
    return np.clip(indices, 0, length - 1), weights.astype(np.float32)


def _smooth_linear_taps(length: int, wanted: int) -> Taps:
    return _smooth_taps(length, wanted, 1, lambda x: np.maximum(1 - np.abs(x), 0))


def _smooth_cubic_taps(length: int, wanted: int) -> Taps:
    return _smooth_taps(length, wanted, 2, lambda x: _cubic(x, -0.5))


def _smooth_taps(
    length: int, wanted: int, radius: int, kernel: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Taps:
    """Return the taps of a kernel that is as much wider as the axis shrinks, cut at the ends of the axis."""
    scale = length / wanted
    stretch = max(scale, 1.0)
    centre = scale * (np.arange(wanted) + 0.5)
    first = np.maximum((centre - radius * stretch + 0.5).astype(np.intp), 0)
    stop = np.minimum((centre + radius * stretch + 0.5).astype(np.intp), length)
    return _window_taps(first, stop, length, lambda index: kernel((index - centre[:, None] + 0.5) / stretch))


def _window_taps(
    first: NDArray[np.intp],
    stop: NDArray[np.intp],
    length: int,
    weigh: Callable[[NDArray[np.intp]], NDArray[np.float64]],
) -> Taps:
    """Return taps from ``first`` up to ``stop``, with the weights that ``weigh`` gives, of sum 1."""
    indices = first[:, None] + np.arange(int((stop - first).max()))
    weights = np.where(indices < stop[:, None], weigh(indices), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.minimum(indices, length - 1), weights.astype(np.float32)


def _cubic(x: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Return Keys' cubic kernel of parameter ``a`` at ``x``."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))
