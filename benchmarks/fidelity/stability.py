"""How well the agreement of the two halves of the samples predicts how stable the map is."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.gathering import gather
from benchmarks.fidelity.measures import Ranked
from benchmarks.fidelity.study import evidence
from benchmarks.fidelity.subjects import MODELS, Model, subjects

JUDGED = ("paper", "pooled")


def rows() -> list[dict[str, Any]]:
    """Return one row per subject, T and estimator, each a mean over the noise seeds.

    ``half`` is the Spearman correlation r of the maps of the even and the odd samples. ``repeat`` is the
    correlation of the maps of two seeds, which Spearman and Brown (1910) predict to be 2r/(1 + r). ``limit`` is
    the correlation with the estimator's limit, which the square root of 2r/(1 + r) predicts.
    """
    return [row for name in MODELS for row in _model(Model(name), name)]


def spearman_brown(half: float) -> float:
    """Return 2r/(1 + r) for r above 0, else 0."""
    return max(0.0, 2 * half / (1 + half)) if half > -1 else 0.0


def _model(model: Model, name: str) -> list[dict[str, Any]]:
    found = []
    for subject in subjects(name):
        maps: dict[tuple[str, int], list[Ranked]] = {}
        halves: dict[tuple[str, int], list[float]] = {}
        limits: dict[str, Ranked] = {}
        for seed, count, seen in evidence(model, subject, gather(model, subject)):
            for judged in JUDGED:
                ranked = Ranked.of(ESTIMATORS[judged](seen))
                if seed == 0:
                    limits[judged] = ranked
                    continue
                maps.setdefault((judged, count), []).append(ranked)
                if count > 2:  # a half of one sample has no variance, so no guide
                    even, odd = (
                        Ranked.of(ESTIMATORS[judged](seen.half(half))) for half in (seen.even, seen.odd)
                    )
                    halves.setdefault((judged, count), []).append(even.spearman(odd))
        for (judged, count), values in halves.items():
            ranked_maps = maps[judged, count]
            row: dict[str, Any] = {"model": name, "image": subject.name, "T": count, "estimator": judged}
            row["half"] = float(np.mean(values))
            row["predicted"] = float(np.mean([spearman_brown(value) for value in values]))
            row["spread"] = float(np.std([spearman_brown(value) for value in values]))
            row["repeat"] = float(np.mean([one.spearman(two) for one, two in combinations(ranked_maps, 2)]))
            row["limit"] = float(np.mean([one.spearman(limits[judged]) for one in ranked_maps]))
            found.append(row)
    return found
