"""RCAP on the host: score and curve, from the ratios and the recovered images' scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.reference import rcap_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import MethodSpec

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
