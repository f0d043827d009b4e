"""What a person should know before trusting a map, in words for the line and codes for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.explanation import Caution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.explanation import Rcap

    Array = NDArray[np.float32]

LOW_RCAP_CONFIDENCE = 0.05
"""Probability of the target, on the half of the image that counts most, below which the map is doubtful."""


def constant_image(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> list[Caution]:
    """Caution for a frame of one grey level: the noise scales with the image's range, which is 0.

    Asked of the frame's ``pixels``: behind the resampling, equal values differ in their last bits.
    """
    if (pixels != pixels[:1, :1]).any():
        return []
    return [
        Caution(
            "constant-image",
            "The image has the same value everywhere, so there is nothing to look at. Check the camera.",
        )
    ]


def constant_map(saliency: Array, *, dead: bool) -> list[Caution]:
    """Caution for a map without differences; ``dead`` when the model did not react at all."""
    if saliency.max() > saliency.min():
        return []
    if dead:
        text = "The result does not react to any part of the image, so the map shows nothing."
        return [Caution("dead-gradient", text)]
    return [Caution("constant-map", "All parts of the image count the same, so the map shows nothing.")]


def low_rcap(rcap: Rcap, probability: float | None) -> list[Caution]:
    """Caution when the model does not recognise its own answer in the pixels that the map points at."""
    best = float(rcap.confidence.max()) if len(rcap.confidence) else 0.0
    if probability is None or probability < 0.5 or best >= LOW_RCAP_CONFIDENCE:
        return []
    return [
        Caution(
            "low-rcap",
            "Shown only the marked places, the model does not come to the same result: "
            "take the map as a hint, not as proof.",
        )
    ]
