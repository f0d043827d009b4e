"""Cautions about what the model got: a frame that is broken, or unlike those at calibration.

A model answers whatever it is shown, and is often sure of it: a 12-bit camera's frame in a 16-bit file, all
but black, is "ok 99.2 %". What can be seen without a calibration is said here; with one, everything that is
far outside what good parts' frames were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.explanation.cautions import Caution
from gagrad_runtime.language import listed, phrase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]

SAME = 4.5 / 255
"""Range from dark to bright, of 1 for black to white, up to which an image counts as empty: the last two of
eight bits are the noise of a sensor."""
DARK = 0.1
"""Brightness of the brightest parts, of 1 for white, below which an image is nearly black."""
UPSCALED = 2.0
"""Model pixels per frame pixel from which the model sees little but interpolated pixels."""
_EXTREMES = (0.001, 0.999)
"""Quantiles that stand for darkest and brightest: single hot pixels do not count."""


def constant_image(frame: Frame, image: Array, placement: Placement) -> list[Caution]:
    """Caution for a frame without anything on it; ``image [C, H, W]`` is the model's, in 0..1.

    Of the frame's own pixels equal values count, as after resampling they differ in their last bits.
    """
    pixels, seen = frame.pixels, _seen(image, placement)
    if _wide(seen) and (pixels != pixels[:1, :1]).any():
        return []
    return [
        Caution(
            "constant-image",
            phrase(
                "The image has the same value everywhere, so there is nothing to look at. Check the camera."
            ),
        )
    ]


def few_bits(frame: Frame, bit_depth: int) -> list[Caution]:
    """Caution for a uint16 frame that leaves two or more of the bundle's ``bit_depth`` bits unused.

    A 12-bit camera's frame in a 16-bit file looks almost black to a model whose bundle expects 16 bits.
    """
    if frame.white is not None or frame.pixels.dtype != np.uint16:
        return []
    white, brightest = (1 << bit_depth) - 1, int(frame.pixels.max())
    if brightest > white // 4:
        return []
    bits = max(brightest.bit_length(), 8)
    return [
        Caution(
            "few-bits",
            phrase(
                "The frame has values only up to {brightest} of {white}: a {bits}-bit camera? The model sees "
                "a dark image. Export the bundle for {bits} bits, or scale the frames to {depth}.",
                brightest=brightest,
                white=white,
                bits=bits,
                depth=bit_depth,
            ),
        )
    ]


def dark_image(image: Array, placement: Placement) -> list[Caution]:
    """Caution for an image that is nearly black; ``image [C, H, W]`` is the model's, in 0..1."""
    seen = _seen(image, placement)
    if _many(seen >= DARK):
        return []
    brightest = _range(seen)[1]
    if brightest >= DARK:
        return []
    return [
        Caution(
            "dark-image",
            phrase(
                "The image is nearly black: its brightest places have {level} % of white. Check "
                "light and exposure.",
                level=f"{brightest * 100:.0f}",
            ),
        )
    ]


def upscaled(frame: Frame, placement: Placement) -> list[Caution]:
    """Caution for a frame that is much smaller than the model's image."""
    scale = min(placement.scale)
    if scale < UPSCALED or frame.fitted:
        return []
    return [
        Caution(
            "upscaled",
            phrase(
                "The frame, {height} high and {width} wide, is enlarged {scale} times for the "
                "model. Is it a thumbnail?",
                height=frame.height,
                width=frame.width,
                scale=f"{scale:.1f}",
            ),
        )
    ]


def frame_unusual(phrases: Sequence[str]) -> list[Caution]:
    """Caution for a frame unlike those of good parts at calibration; ``phrases`` say in what."""
    if not phrases:
        return []
    text = phrase("The frame is unlike those at calibration: {how}.", how=listed(phrases, "; "))
    return [Caution("frame-unusual", text)]


def _seen(image: Array, placement: Placement) -> Array:
    """Return the part of ``image [C, H, W]`` where the frame is."""
    (top, left), (height, width) = placement.offset, placement.resized
    return image[:, max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]


def _many(pixels: NDArray[np.bool_]) -> bool:
    """Return whether so many are true that those at a quantile of ``_EXTREMES`` are, too.

    Counting is faster than sorting.
    """
    return int(np.count_nonzero(pixels)) > 10 * _EXTREMES[0] * pixels.size + 1


def _wide(seen: Array) -> bool:
    """Return whether a frame's range from dark to bright is more than ``SAME``."""
    middle = seen.mean()
    if _many(seen > middle + SAME) and _many(seen < middle - SAME):
        return True
    low, high = _range(seen)
    return high - low > SAME


def _range(seen: Array) -> tuple[float, float]:
    """Return how dark and how bright a frame is, by its darkest and brightest pixels."""
    low, high = np.quantile(seen, _EXTREMES)
    return float(low), float(high)
