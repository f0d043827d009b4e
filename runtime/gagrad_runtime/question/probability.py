"""Probabilities: from scores to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
