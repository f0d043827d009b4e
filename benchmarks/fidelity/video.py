"""A static scene: the statistics of earlier frames are kept with fading weight, so each frame needs few samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.evidence import Evidence
from benchmarks.fidelity.gathering import NOISE_STD, gather
from benchmarks.fidelity.measures import Ranked
from benchmarks.fidelity.subjects import MODELS, Model, subjects
from gagrad_edge.method.reference import State, accumulate

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES, FRAMES, SENSOR = 3, 20, 0.01
"""``SENSOR`` is the standard deviation of the sensor noise in each frame, in pixel values 0..1."""
PLANS = ((1, 0.95), (2, 0.9), (4, 0.8))
"""Samples per frame, and the share of its weight that the state keeps in the next frame: 20 samples in equilibrium."""
SHOWN = (1, 2, 5, 10, 20)
JUDGED = ("paper", "pooled")


def fade(state: State, keep: float) -> State:
    """Return ``state`` with the weight of each of its samples multiplied by ``keep``."""
    keep32 = np.float32(keep)
    return State(state.count * keep, state.abs_sum * keep32, state.mean, state.m2 * keep32)  # type: ignore[arg-type]


def rows() -> list[dict[str, Any]]:
    """Return one row per subject, plan, frame and estimator."""
    return [row for name in MODELS for row in _model(Model(name), name)]


def _model(model: Model, name: str) -> Iterator[dict[str, Any]]:
    for subject in list(subjects(name))[:IMAGES]:
        gathered = gather(model, subject)
        image = subject.image
        limit = Ranked.of(ESTIMATORS["paper"](Evidence(*gathered.limit(), image[0], image[0])))
        for samples, keep in PLANS:
            rng = np.random.default_rng(samples)
            halves = [State.empty(image.shape[1:]), State.empty(image.shape[1:])]
            taken = 0
            for frame in range(1, FRAMES + 1):
                seen = image + np.float32(SENSOR) * rng.standard_normal(image.shape, dtype=np.float32)
                seen = np.clip(seen, 0, 1)
                halves = [fade(half, keep) for half in halves]
                for noise in rng.standard_normal((samples, *image.shape[1:]), dtype=np.float32):
                    gradient = model.gradient(seen, noise, NOISE_STD, gathered.target)
                    halves[taken % 2] = accumulate(halves[taken % 2], gradient[None])
                    taken += 1
                if frame in SHOWN and taken > 1:
                    kept = Evidence(halves[0], halves[1], image[0], image[0])
                    for judged in JUDGED:
                        ranked = Ranked.of(ESTIMATORS[judged](kept))
                        yield {
                            "model": name,
                            "samples": samples,
                            "frame": frame,
                            "estimator": judged,
                            "spearman": ranked.spearman(limit),
                            "top": ranked.overlap(limit),
                        }
