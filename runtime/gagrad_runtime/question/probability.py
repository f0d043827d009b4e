"""Probabilities: from scores to probabilities, and from a probability or a share to words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.language import phrase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import Activation

    Array = NDArray[np.float32]


def probabilities(
    scores: Array, activation: Activation, precision: type[np.floating] = np.float64
) -> Array | None:
    """Return ``scores [N, K…]`` as probabilities; None for a plain score. Classes are axis 1.

    ``precision`` is that of the calculation: float32 is thirty times as fast, for a detector's many scores.
    """
    if activation == "none":
        return None
    wide = scores.astype(precision, copy=False)
    limit = 700 if precision is np.float64 else 80  # e to its power is a number
    if activation == "sigmoid":
        chances = 1 / (1 + np.exp(-np.clip(wide, -limit, limit)))
    else:
        shifted = np.exp(wide - wide.max(axis=1, keepdims=True))
        chances = shifted / shifted.sum(axis=1, keepdims=True)
    narrow: Array = chances.astype(np.float32, copy=False)
    return narrow


def percent(probability: float) -> str:
    """Return ``probability`` (0..1) in words, e.g. ``97.3 %``; never 0 % or 100 %, which no model can know.

    The only place that writes a probability: picture, command line and ``repr`` call this.
    """
    if not math.isfinite(probability):
        return phrase("no probability (not a number)")
    if probability < 0.001:
        return phrase("under 0.1 %")
    return phrase("over 99.9 %") if probability > 0.999 else f"{probability * 100:.1f} %"


def share_text(share: float) -> str:
    """Return a share of a map or of an image (0..1) in words, as a whole number: ``79 %``.

    The only place that writes a share: picture, command line and ``repr`` call this.
    """
    return f"{share * 100:.0f} %"


def agreement_text(share: float) -> str:
    """Return which share of pixels agree (0..1), rounded down to a tenth: ``99.5 %``; ``100 %`` only for all.

    Rounded down, so that a share below what is required does not read like it.
    """
    tenths = math.floor(round(share * 1000, 6))  # 0.995 is a little less than 995 thousandths
    return "100 %" if tenths == 1000 else f"{tenths / 10:.1f} %"
