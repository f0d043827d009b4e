"""A reference frame made from arithmetic: the same bytes on every machine, with edges, ramps and texture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 20240401


def reference_frame(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return a frame ``[H, W, C]`` (``[H, W]`` for one channel): a lit plate with a disc, a bar and grain.

    On a constant or purely random frame the activations of a trained model would be dead or saturated.
    """
    generator = np.random.Generator(np.random.Philox(_SEED))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    plane = 110 + 70 * u - 40 * v
    plane += np.where((u - 0.4) ** 2 + (v - 0.55) ** 2 < 0.04, -60.0, 0.0)
    plane += np.where((np.abs(u + 0.6 * v - 0.95) < 0.03), 70.0, 0.0)
    tint = np.array([1.0, 0.85, 0.7, *(1 - 0.04 * np.arange(13))])[:channels]
    frame = plane[..., None] * tint + generator.normal(0, 6, (height, width, channels))
    pixels: NDArray[np.uint8] = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def frame_image(frame: NDArray[np.uint8], *, colour: str) -> NDArray[np.float32]:
    """Return the frame as an image ``[1, C, H, W]`` in 0..1, channels in the order ``colour``."""
    planes = frame[None] if frame.ndim == 2 else frame.transpose(2, 0, 1)
    if colour == "bgr":
        planes = planes[::-1]
    return np.ascontiguousarray(planes[None].astype(np.float32) / np.float32(255))
