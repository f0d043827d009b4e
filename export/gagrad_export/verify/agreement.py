"""Agreement of two forms of a model: of scores, gradients, and the maps made from the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.reference import State, finalize
from gagrad_edge.statistics import rank_correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import MethodSpec
    from gagrad_export.verify.gradient import Point
    from gagrad_export.verify.sessions import Sessions

    Array = NDArray[np.float32]


def run_samples(sessions: Sessions, point: Point, method: MethodSpec) -> State:
    """Return the statistics of all samples of one explanation."""
    state = State.empty(point.image.shape[1:])
    for noise in noise_chunks(0, method.samples, method.chunk, point.image.shape[1:]):
        state, _ = sessions.accumulate(point.image, noise, method.noise_std, point.cotangent, state)
    return state


def agreement(
    found: tuple[Array, State], expected: tuple[Array, State], percentile: float
) -> dict[str, float]:
    """Return the fields of ``manifest.Agreement`` for two pairs of scores and statistics."""
    (scores, state), (other_scores, other) = found, expected
    span = max(
        float(np.ptp(other_scores)), float(np.abs(other_scores).max()), float(np.finfo(np.float32).tiny)
    )
    maps = [finalize(one, percentile) for one in (state, other)]
    return {
        "gradient_cosine": round(cosine(state.mean, other.mean), 4),
        "map_correlation": round(map_correlation(*maps), 4),
        "scores_error": float(f"{np.abs(scores - other_scores).max() / span:.1e}"),
    }


def cosine(one: Array, two: Array) -> float:
    """Return the cosine of the angle between two arrays; NaN where one is zero."""
    a, b = (values.ravel().astype(np.float64) for values in (one, two))
    with np.errstate(invalid="ignore"):
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def map_correlation(one: Array, two: Array) -> float:
    """Return Spearman's rank correlation of two maps.

    A constant map has no order: two constant maps agree (1), a constant map and another do not (0).
    """
    correlation = rank_correlation(one, two)
    if correlation is None:
        return float(np.ptp(one) == np.ptp(two))
    return correlation
