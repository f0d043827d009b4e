"""Noise designs other than independent draws, to see if a more even set of T noise tensors gives a better map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import hadamard
from scipy.special import ndtri

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.evidence import Evidence, prefixes
from benchmarks.fidelity.gathering import NOISE_STD, SAMPLES, SEEDS, gather
from benchmarks.fidelity.measures import Ranked
from benchmarks.fidelity.subjects import MODELS, Model, Subject, subjects
from gagrad_edge.method.noise import noise_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

IMAGES, DRAWS, COUNTS, JUDGED = 3, 4, (4, 10, 20), ("paper", "pooled")


def independent(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw the paper's noise."""
    return rng.standard_normal(shape, dtype=np.float32)


def centred(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw noise, subtract its mean over T at each pixel, and scale to variance 1: a simplex around the image."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    return (noise - noise.mean(axis=0)) * np.float32(np.sqrt(len(noise) / (len(noise) - 1)))


def antithetic(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw T/2 noise tensors and use each and its negative."""
    noise = rng.standard_normal((shape[0] // 2, *shape[1:]), dtype=np.float32)
    return np.concatenate([noise, -noise])


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Gaussian noises made orthogonal by QR, all of the expected length (Yu et al., NeurIPS 2016)."""
    basis, _ = np.linalg.qr(rng.standard_normal((int(np.prod(shape[1:])), shape[0]), dtype=np.float32))
    return np.ascontiguousarray(basis.T.reshape(shape) * np.float32(np.sqrt(len(basis))))


def latin(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Latin hypercube (McKay et al. 1979): at each pixel one draw from each of T equally likely intervals."""
    order = np.argsort(rng.random(shape, dtype=np.float32), axis=0)
    uniform = (order + rng.random(shape, dtype=np.float32)) / shape[0]
    return ndtri(np.clip(uniform, 1e-6, 1 - 1e-6)).astype(np.float32)


def balanced_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw ±1 from a random column of a Hadamard matrix at each pixel: signs balanced per pixel and pair of pixels."""
    size = 1 << (shape[0] - 1).bit_length()
    columns = hadamard(size).astype(np.float32)[: shape[0], 1:]
    chosen = columns[:, rng.integers(0, size - 1, shape[1:])]
    return np.ascontiguousarray(chosen * rng.choice(np.array([-1, 1], np.float32), shape[1:]))


DESIGNS = {
    "independent": independent,
    "centred": centred,
    "antithetic": antithetic,
    "orthogonal": orthogonal,
    "latin hypercube": latin,
    "Hadamard–Rademacher": balanced_signs,
}


def rows() -> list[dict[str, Any]]:
    """Return one row per subject, T, design, draw and estimator."""
    return [row for name in MODELS for row in _model(Model(name), name)]


def control_share() -> dict[str, float]:
    """Return model → share of the variance of |g| that the pixel's own noise, z and z², explains.

    A control variate made of z and z² could remove this share. Two coefficients fitted to 100 samples explain
    2 % of any data by chance; these 2 % are subtracted.
    """
    shares: dict[str, list[float]] = {}
    for name in MODELS:
        model = Model(name)
        for subject in list(subjects(name))[:IMAGES]:
            values = np.abs(gather(model, subject).gradients(SEEDS[0]))
            noise = np.concatenate(list(noise_chunks(SEEDS[0], SAMPLES, 10, subject.image.shape[1:])))
            explained = np.zeros(values.shape[1:])
            residual = values - values.mean(axis=0)
            whole = np.square(residual).sum(axis=0) + 1e-30
            for control in (noise, np.square(noise)):
                centre = control - control.mean(axis=0)
                explained += np.square((centre * residual).sum(axis=0)) / np.square(centre).sum(axis=0)
            shares.setdefault(name, []).append(float((explained / whole).mean()) - 2 / (SAMPLES - 1))
    return {name: float(np.mean(found)) for name, found in shares.items()}


def _model(model: Model, name: str) -> Iterator[dict[str, Any]]:
    for subject in list(subjects(name))[:IMAGES]:
        gathered = gather(model, subject)
        limit = Ranked.of(
            ESTIMATORS["paper"](Evidence(*gathered.limit(), subject.image[0], subject.image[0]))
        )
        for count in COUNTS:
            for design, make in DESIGNS.items():
                for draw in range(DRAWS):
                    seen = _evidence(model, subject, gathered.target, make, count, draw)
                    for judged in JUDGED:
                        ranked = Ranked.of(ESTIMATORS[judged](seen))
                        row = {"model": name, "T": count, "design": design, "estimator": judged}
                        row |= {"spearman": ranked.spearman(limit), "top": ranked.overlap(limit)}
                        yield row


def _evidence(model: Model, subject: Subject, target: int, design: Any, count: int, draw: int) -> Evidence:
    noise = design(np.random.default_rng([draw, count]), (count, *subject.image.shape[1:]))
    gradients = (model.gradient(subject.image, one, NOISE_STD, target) for one in noise)
    return Evidence(*prefixes(gradients, (count,))[count], subject.image[0], subject.image[0])
