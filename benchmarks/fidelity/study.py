"""Every estimator on every map: rows of fidelity, localisation and time, from which ``report`` makes tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.evidence import Evidence, prefixes
from benchmarks.fidelity.gathering import LIMIT_SAMPLES, NOISE_STD, SEEDS, Gathered, gather
from benchmarks.fidelity.measures import Ranked, mass, points_at, rcap
from benchmarks.fidelity.subjects import MODELS, Model, Subject, subjects
from gagrad_edge import abi
from gagrad_export.assemble import finalize_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS = (2, 4, 7, 10, 20, 40, 100)
RCAP_COUNTS = (2, 4, 10, 20, LIMIT_SAMPLES)
RCAP_ESTIMATORS = (
    "paper",
    "relative",
    "relative, A, V 3×3",
    "grid separate, log A, Gaussian 2.5",
    "pooled, relative guide",
    "pooled",
    "adaptive",
)
"""Estimators for which RCAP is computed; RCAP runs the model, so not for all."""

Row = dict[str, Any]


def rows() -> Iterator[Row]:
    """Yield one row per subject, seed, T and estimator."""
    for name in MODELS:
        model = Model(name)
        for subject in subjects(name):
            print(f"{name} {subject.name}", flush=True)
            yield from _subject(model, subject)


def evidence(model: Model, subject: Subject, gathered: Gathered) -> Iterator[tuple[int, int, Evidence]]:
    """Yield (seed, T, evidence); the first is the limit, with seed 0."""
    clean = model.gradient(subject.image, np.zeros_like(subject.image[0]), NOISE_STD, gathered.target)
    yield 0, LIMIT_SAMPLES, Evidence(*gathered.limit(), subject.image[0], clean)
    for seed in SEEDS:
        for count, halves in prefixes(gathered.gradients(seed), COUNTS).items():
            yield seed, count, Evidence(*halves, subject.image[0], clean)


def graph_milliseconds(guide: str, runs: int = 20) -> float:
    """Return the median time of the ``finalize`` graph of a guide at 3 × 224² in ONNX Runtime, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(finalize_graph((3, 224, 224), guide), options)
    rng = np.random.default_rng(0)
    inputs = {name: rng.random((3, 224, 224), dtype=np.float32) for name in (abi.ABS_SUM, abi.MEAN, abi.M2)}
    inputs |= {abi.COUNT: np.array(4, np.float32), abi.PERCENTILE: np.array(0.85, np.float32)}
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        session.run(None, inputs)
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times))


def _subject(model: Model, subject: Subject) -> Iterator[Row]:
    gathered = gather(model, subject)
    limits: dict[str, Ranked] = {}
    for seed, count, seen in evidence(model, subject, gathered):
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
