"""RCAP on the host: score and curve, from the ratios and the recovered images' scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.reference import rcap_levels
from gagrad_runtime.question.probability import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import Activation, MethodSpec
    from gagrad_runtime.question.target import Target

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rcap:
    """ReCover And Predict: a score for the localisation and noise of a map, with the curve behind it.

    ``score`` is the mean over the levels of ``ratio · confidence``, 0..1. At ``levels[i]`` (high to low)
    ``ratio[i]`` is the share of the map's mass that is kept and ``confidence[i]`` the model's probability
    of the target when it sees the kept pixels only. All three have the same length.
    """

    score: float
    levels: tuple[float, ...]
    ratio: NDArray[np.float32]
    confidence: NDArray[np.float32]


def confidence(
    recovered: Array, original: Array, target: Target, activation: Activation
) -> NDArray[np.float64]:
    """Return the model's confidence in the target on each recovered image, 0..1.

    ``recovered [P, K…]`` and ``original [K…]`` are scores. A plain score has no probability: its confidence
    is clip(f(I_r) / f(I), 0, 1), the share of the score that recovers.
    """
    known = probabilities(recovered, activation)
    answers = recovered if known is None else known
    values = np.array([target.reading(answer) for answer in answers], np.float64)
    if known is not None:
        return values
    whole = target.reading(original)
    return np.clip(values / whole, 0, 1) if whole else np.zeros(len(recovered))


def rcap(ratio: Array, conf: NDArray[np.float64], method: MethodSpec) -> Rcap:
    """Return RCAP = mean(ratio · confidence) over the levels that the reference counts (ratio ≥ 0)."""
    levels = rcap_levels(method.rcap_lower_bound, method.rcap_interval)
    counted = ratio >= 0
    return Rcap(
        score=float(np.mean(ratio[counted].astype(np.float64) * conf[counted])),
        levels=tuple(level for level, keep in zip(levels, counted, strict=True) if keep),
        ratio=ratio[counted],
        confidence=conf[counted].astype(np.float32),
    )
