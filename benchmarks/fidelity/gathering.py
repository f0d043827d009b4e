"""Gradients of the samples, computed once and kept on disk, so that estimators run without the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.fidelity.subjects import STORE, Model, Subject
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.reference import State, accumulate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

NOISE_STD = 0.15
SEEDS, SAMPLES = (1, 2, 3), 100
"""Noise seeds of the maps under test, and the number of samples that is kept for each."""
LIMIT_SEED, LIMIT_SAMPLES = 1000, 1000
"""Noise seeds of the limit; no map under test uses them."""


@dataclass(frozen=True)
class Gathered:
    """The gradients of one subject on disk."""

    folder: Path
    target: int

    def gradients(self, seed: int) -> Array:
        """Return the gradients ``[SAMPLES, 3, H, W]`` of one noise seed."""
        loaded: Array = np.load(self.folder / f"seed{seed}.npy", mmap_mode="r")
        return loaded

    def limit(self) -> tuple[State, State]:
        """Return the statistics of the even and of the odd samples of the limit."""
        with np.load(self.folder / "limit.npz") as kept:
            even, odd = (State(LIMIT_SAMPLES // 2, *kept[half]) for half in ("even", "odd"))
        return even, odd


def gather(model: Model, subject: Subject) -> Gathered:
    """Compute the gradients that are not on disk yet."""
    folder = STORE / subject.model / subject.name
    folder.mkdir(parents=True, exist_ok=True)
    target = int(model.probabilities(subject.image)[0].argmax())
    shape = subject.image.shape[1:]
    for seed in SEEDS:
        path = folder / f"seed{seed}.npy"
        if not path.exists():
            draws = noise_chunks(seed, SAMPLES, 1, shape)
            np.save(path, np.stack([model.gradient(subject.image, z[0], NOISE_STD, target) for z in draws]))
    if not (folder / "limit.npz").exists():
        halves = [State.empty(shape), State.empty(shape)]
        for index, noise in enumerate(noise_chunks(LIMIT_SEED, LIMIT_SAMPLES, 1, shape)):
            gradient = model.gradient(subject.image, noise[0], NOISE_STD, target)
            halves[index % 2] = accumulate(halves[index % 2], gradient[None])
        kept = [np.stack([half.abs_sum, half.mean, half.m2]) for half in halves]
        np.savez(folder / "limit.npz", even=kept[0], odd=kept[1])
    return Gathered(folder, target)
