"""Measures of the similarity of two maps, and of the localisation of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from gagrad_edge.method.reference import normalise, rcap_levels, recover

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.fidelity.subjects import Model

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Ranked:
    """The order of a map's pixels: centred ranks of unit length, and a mask of the highest tenth."""

    ranks: NDArray[np.float64]
    top: NDArray[np.bool_]

    @staticmethod
    def of(saliency: Array) -> Ranked:
        """Return the ranks of a map."""
        ranks = rankdata(saliency.ravel())
        ranks -= ranks.mean()
        top = np.zeros(saliency.size, bool)
        count = saliency.size // 10
        top[np.argpartition(saliency.ravel(), -count)[-count:]] = True
        return Ranked(ranks / max(float(np.linalg.norm(ranks)), 1e-30), top)

    def spearman(self, other: Ranked) -> float:
        """Return Spearman's rank correlation with another map, −1..1."""
        return float(self.ranks @ other.ranks)

    def overlap(self, other: Ranked) -> float:
        """Return the intersection over union of the two highest tenths, 0..1."""
        return float((self.top & other.top).sum() / (self.top | other.top).sum())


def mass(saliency: Array, mask: NDArray[np.bool_]) -> float:
    """Return the share of the map, scaled from 0, that lies on the mask."""
    scaled = normalise(saliency)
    return float(scaled[mask].sum() / scaled.sum())


def points_at(saliency: Array, mask: NDArray[np.bool_]) -> bool:
    """Tell whether the map's highest pixel lies on the mask: the pointing game (Zhang et al., ECCV 2016)."""
    return bool(mask.ravel()[saliency.argmax()])


def rcap(model: Model, image: Array, saliency: Array, target: int) -> float:
    """Return RCAP, the mean over levels of ratio · confidence (the paper's equation 8), by the numpy reference."""
    recovered, ratio = recover(image[0], normalise(saliency), rcap_levels(0.5, 0.1))
    counted = ratio >= 0
    confidence = model.probabilities(recovered)[:, target]
    return float(np.mean(ratio[counted] * confidence[counted]))
