"""What a person should know before trusting a map, in words for the line and codes for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_runtime.sampling.estimation import MIN_SAMPLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.question.target import Target
    from gagrad_runtime.sampling.rcap import Rcap

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Caution:
    """One thing to know before trusting the map: a stable ``code`` and a sentence for people."""

    code: str
    text: str


UNSTABLE = 0.5
"""Stability below which a map is doubtful: what two runs have in common is less than what they have not."""

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


def constant_map(saliency: Array, *, dead: bool, cam: bool = False) -> list[Caution]:
    """Caution for a map without differences; ``dead`` when the model did not react at all.

    A class activation map (``cam``) is cut off at 0, so that it is empty where all speaks against the target.
    """
    if saliency.max() > saliency.min():
        return []
    if cam:
        text = "At the layer of this method nothing speaks for the result, so the map is empty."
        return [Caution("no-evidence", text)]
    if dead:
        text = "The result does not react to any part of the image, so the map shows nothing."
        return [Caution("dead-gradient", text)]
    return [Caution("constant-map", "All parts of the image count the same, so the map shows nothing.")]


def saturated(low: Array, high: Array, target: Target, samples: int) -> list[Caution]:
    """Caution when no noise moves the score: ``low`` and ``high [K…]`` are its extremes over the copies."""
    moved = target.reading(high) != target.reading(low)
    if moved or samples < MIN_SAMPLES:
        return []
    return [
        Caution(
            "saturated-score",
            "The score does not move when the image changes a little: it is at its limit, and the map may "
            "show nothing of the reason.",
        )
    ]


def unstable(stability: float | None, wanted: float | None) -> list[Caution]:
    """Caution for a map that another set of samples would draw differently, or that did not settle."""
    if stability is not None and stability < UNSTABLE:
        text = "The map has not settled: another run would look different. Take more samples."
        return [Caution("unstable", text)]
    if wanted is not None and (stability is None or stability < wanted):
        reached = "" if stability is None else f" ({stability:.2f} of {wanted:g})"
        return [Caution("not-settled", f"The samples ended before the map was as stable as asked{reached}.")]
    return []


def late(seconds: float, budget_ms: float | None, samples: int) -> list[Caution]:
    """Caution when the result came after its time."""
    if budget_ms is None or seconds * 1000 <= budget_ms:
        return []
    text = f"This took {seconds * 1000:.0f} ms and not {budget_ms:g} ms as asked"
    text += f": {MIN_SAMPLES} samples are the least." if samples <= MIN_SAMPLES else "."
    return [Caution("late", text)]


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
