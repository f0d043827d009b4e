"""Rank correlation: the one figure by which maps are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def rank_correlation(first: Array, second: Array) -> float | None:
    """Return Spearman's ρ of two maps; None when one is constant. Ties get their mean rank."""
    ranks = [_ranks(values.ravel()) for values in (first, second)]
    centred = [values - values.mean() for values in ranks]
    norms = [float(np.linalg.norm(values)) for values in centred]
    if not all(norms):
        return None
    return float(np.dot(*centred)) / (norms[0] * norms[1])


def _ranks(values: Array) -> NDArray[np.float64]:
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(first, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    return ranks
