"""Every estimator on every map: fidelity, localisation and time, as rows that ``report`` tells of."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.evidence import Evidence, prefixes
from benchmarks.fidelity.gathering import LIMIT_SAMPLES, NOISE_STD, SEEDS, Gathered, gather
from benchmarks.fidelity.measures import Ranked, mass, points_at, rcap
from benchmarks.fidelity.subjects import MODELS, STORE, Model, Subject, subjects

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS = (2, 4, 7, 10, 20, 40, 100)
RCAP_COUNTS = (2, 4, 10, 20, LIMIT_SAMPLES)
RCAP_ESTIMATORS = (
    "paper",
    "relative",
    "relative, A, V 3×3",
    "grid apart, log A, Gaussian 2.5",
    "pooled, relative guide",
    "pooled",
    "adaptive",
)
"""RCAP runs the model, so only the ones that matter."""

Row = dict[str, Any]


def rows() -> Iterator[Row]:
    """Yield one row per subject, seed, T and estimator; those of a finished subject come from disk."""
    for name in MODELS:
        model = Model(name)
        for subject in subjects(name):
            path = STORE / name / subject.name / "rows.json"
            if not path.exists():
                path.write_text(json.dumps(list(_subject(model, subject))), encoding="utf-8")
            print(f"{name} {subject.name}", flush=True)
            yield from json.loads(path.read_text(encoding="utf-8"))


def evidence(model: Model, subject: Subject, gathered: Gathered) -> Iterator[tuple[int, int, Evidence]]:
    """Yield (seed, T, evidence), the limit first (its seed is 0)."""
    clean = model.gradient(subject.image, np.zeros_like(subject.image[0]), NOISE_STD, gathered.target)
    yield 0, LIMIT_SAMPLES, Evidence(*gathered.limit(), subject.image[0], clean)
    for seed in SEEDS:
        for count, halves in prefixes(gathered.gradients(seed), COUNTS).items():
            yield seed, count, Evidence(*halves, subject.image[0], clean)


def _subject(model: Model, subject: Subject) -> Iterator[Row]:
    gathered = gather(model, subject)
    limits: dict[str, Ranked] = {}
    for seed, count, seen in evidence(model, subject, gathered):
        assert seen.state.count == count
        for name, estimator in ESTIMATORS.items():
            began = time.perf_counter()
            saliency = estimator(seen)
            milliseconds = 1e3 * (time.perf_counter() - began)
            ranked = Ranked.of(saliency)
            limits.setdefault(name, ranked)
            row: Row = {"model": subject.model, "image": subject.name, "seed": seed, "T": count}
            row |= {"estimator": name, "ms": milliseconds}
            for judge, limit in (("paper", limits["paper"]), ("own", limits[name])):
                row |= {f"spearman_{judge}": ranked.spearman(limit), f"top_{judge}": ranked.overlap(limit)}
            if subject.mask is not None:
                row |= {"mass": mass(saliency, subject.mask), "points": points_at(saliency, subject.mask)}
            if name in RCAP_ESTIMATORS and count in RCAP_COUNTS:
                row["rcap"] = rcap(model, subject.image, saliency, gathered.target)
            yield row
