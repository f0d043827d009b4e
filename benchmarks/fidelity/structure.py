"""The two facts behind ``pooled``: how strong the grid is, and how many samples each band of detail needs."""

from __future__ import annotations

import numpy as np

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.gathering import gather
from benchmarks.fidelity.grid_estimators import band_gains, grid_share
from benchmarks.fidelity.measures import Ranked
from benchmarks.fidelity.study import evidence
from benchmarks.fidelity.subjects import MODELS, Model, subjects

COUNT = 10
BANDS = ("grid", "σ 0–1", "σ 1–2", "σ 2–4", "σ 4–8")


def rows() -> list[tuple[object, ...]]:
    """Return per model: the grid's share at the limit, the correlation of the limit's halves, and T·(1/gain − 1).

    T·(1/gain − 1) is, for each of BANDS, the number of samples at which ``adaptive`` gives the band half its
    weight, measured at T = 10; medians over images and seeds.
    """
    lines: list[tuple[object, ...]] = []
    for name in MODELS:
        model = Model(name)
        shares, halves, samples = [], [], []
        for subject in subjects(name):
            for seed, count, seen in evidence(model, subject, gather(model, subject)):
                if seed == 0:
                    shares.append(grid_share(seen.magnitude))
                    even, odd = (ESTIMATORS["paper"](seen.half(half)) for half in (seen.even, seen.odd))
                    halves.append(Ranked.of(even).spearman(Ranked.of(odd)))
                elif count == COUNT:
                    samples.append([count * (1 / max(float(gain), 1e-3) - 1) for gain in band_gains(seen)])
        middle = np.median(samples, axis=0)
        cells = [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in middle]
        lines.append((name, f"{np.mean(shares):.0%}", f"{np.mean(halves):.3f}", *cells))
    return lines
