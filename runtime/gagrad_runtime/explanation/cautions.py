"""Cautions: what to know before trusting a map, as a code for programs and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.sampling.estimation import MIN_SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.sampling.rcap import Rcap

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Caution:
    """One thing to know before trusting the map: a stable ``code`` for programs, ``text`` for people."""

    code: str
    """Stable name, e.g. ``low-rcap``; docs/record.md lists them."""
    text: str
    """The caution as a sentence."""


UNSTABLE = 0.5
"""Stability below which a map is doubtful: two maps of other samples would differ in more than they share."""

LOW_RCAP_CONFIDENCE = 0.05
"""Probability of the target, on the half of the image that counts most, below which the map is doubtful."""


def constant_image(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> list[Caution]:
    """Caution for a frame of one grey level: the noise scales with the image's range, which is 0.

    ``pixels`` are the frame's: after resampling, equal values differ in their last bits.
    """
    if (pixels != pixels[:1, :1]).any():
        return []
    return [
        Caution(
            "constant-image",
            "The image has the same value everywhere, so there is nothing to look at. Check the camera.",
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
    return [
        Caution(
            "few-bits",
            f"The frame's brightest value is {brightest} of {white}, so the model sees a dark image. If the "
            f"camera has fewer than {bit_depth} bits, export the bundle with its bit depth.",
        )
    ]


def constant_map(saliency: Array, *, dead: bool, cam: bool = False) -> list[Caution]:
    """Caution for a map without differences; ``dead`` when the model did not react at all.

    A class activation map (``cam``) is cut off at 0: where every feature speaks against the target, the map
    is empty.
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
    """Caution when no noise moves the score: ``low`` and ``high [K…]`` are the samples' extreme scores."""
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
    """Caution for a map that other samples would change, or that is less stable than ``wanted`` (0..1)."""
    if stability is not None and stability < UNSTABLE:
        text = "The map has not settled: another run would look different. Take more samples."
        return [Caution("unstable", text)]
    if wanted is not None and (stability is None or stability < wanted):
        reached = "" if stability is None else f" ({stability:.2f} of {wanted:g})"
        return [Caution("not-settled", f"The samples ended before the map was as stable as asked{reached}.")]
    return []


def late(seconds: float, budget_ms: float | None, samples: int) -> list[Caution]:
    """Caution when the explanation took longer than ``budget_ms``."""
    if budget_ms is None or seconds * 1000 <= budget_ms:
        return []
    text = f"This took {seconds * 1000:.0f} ms and not {budget_ms:g} ms as asked"
    text += f": {MIN_SAMPLES} samples are the least." if samples <= MIN_SAMPLES else "."
    return [Caution("late", text)]


def not_detected(target: Target, prediction: Prediction) -> list[Caution]:
    """Caution for a candidate that a detector does not list: its map tells of something that is not found."""
    if target.detection is not None:
        return []
    listed = {one.index[0] for one in prediction.detections}
    if target.index[0] in listed:
        text = "The model does not list this candidate: it is too weak, or the double of a stronger one."
    elif target.index == prediction.target.index:
        text = "The model found nothing in this image. The map is of its strongest candidate."
    else:
        found = f"no {target.name}" if listed else "nothing"
        text = f"The model found {found} in this image. The map is of a candidate that is too weak to count."
    return [Caution("not-detected", text)]


def low_rcap(rcap: Rcap, probability: float | None, sure: float = 0.5) -> list[Caution]:
    """Caution when the model no longer recognises the target in the bright places of the map alone.

    ``sure`` is the probability of the target from which the model says that it is there.
    """
    best = float(rcap.confidence.max()) if len(rcap.confidence) else 0.0
    if probability is None or probability < sure or best >= LOW_RCAP_CONFIDENCE:
        return []
    return [
        Caution(
            "low-rcap",
            "Shown only the marked places, the model does not come to the same result: "
            "take the map as a hint, not as proof.",
        )
    ]
