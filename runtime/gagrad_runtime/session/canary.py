"""Can this engine be trusted with this bundle? Runs with known answers, before the first explanation.

An engine can compile a graph and compute something else: NVIDIA/TensorRT #4853 and #4796 are silently wrong
rows in batches of more than one. Nothing in a map would show it. So on each engine but the one that the
exporter verified with, copies of one row must give one answer, rows of a batch the same as alone, and the
bundle's own frame the bundle's own map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.noise import noise_chunks
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.target import Target, cotangent
from gagrad_runtime.sampling.statistics import Sampler
from gagrad_runtime.session.selftest import reference_frame, run_selftest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphPrecision
    from gagrad_edge.method.reference import State
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]

ROWS: dict[GraphPrecision, float] = {"float32": 0.02, "float16": 0.1}
"""How far rows of a batch may be from the same rows alone, ‖a − b‖₂ / ‖b‖₂. Kernels for another batch size
round otherwise, and that flips single ReLUs; a wrong row is off by about 1, by 0.3 among ten right ones."""
CORRELATION: dict[GraphPrecision, float] = {"float32": 0.999, "float16": 0.98}
"""Spearman's rank correlation with the bundle's map that is enough. Not the share of pixels that agree, which
``gagrad-edge verify`` asks for: rounding alone moves pixels over the guide's threshold."""
_SCALE: dict[GraphPrecision, float] = {"float32": 0.01, "float16": 0.05}
"""How far score and gradient may be from the bundle's, relative."""


@dataclass(frozen=True)
class Finding:
    """One thing that was measured, and what it may be."""

    check: str
    found: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether it is within what is allowed; NaN is not."""
        return self.found <= self.allowed

    def __str__(self) -> str:
        return f"{self.check} {self.found:.2g} (allowed {self.allowed:.2g})"


def examine(bundle: Bundle, explainer: Explainer) -> list[Finding]:
    """Run the checks on ``explainer``'s engine; about the time of two explanations.

    Raises BundleError, ModelError and DeviceError.
    """
    precision = explainer.backend.precision
    test = run_selftest(bundle, explainer)
    findings = [
        Finding("the map's rank order differs by", 1 - test.correlation, 1 - CORRELATION[precision]),
        Finding("the score is off by", test.score_error, _SCALE[precision]),
        Finding("the gradient's magnitude is off by", test.magnitude_error, _SCALE[precision]),
    ]
    if explainer.largest_chunk == 1:
        return findings
    return [*findings, *_rows(bundle, explainer)]


def _rows(bundle: Bundle, explainer: Explainer) -> list[Finding]:
    """Compare rows of a batch, as large as the bundle's chunk, with the same rows alone."""
    manifest, backend, graphs = bundle.manifest, explainer.backend, explainer.graphs
    index = np.arange(max(manifest.method.chunk, 2)) % 2
    image, _ = prepare(reference_frame(bundle), manifest.input)

    pair = np.concatenate([image, image[..., ::-1]])
    scores = np.concatenate([explainer.scores(row[None]) for row in pair])
    together = explainer.scores(pair[index])

    sampler = Sampler(backend, graphs.runner("combine"), manifest.input.shape)
    weights = cotangent(Target(tuple(manifest.selftest.target), ""), scores.shape[1:])
    sampler.begin(
        graphs.runner("accumulate"),
        {
            "image": backend.upload(image),
            "noise_std": backend.upload(np.array(manifest.method.noise_std, np.float32)),
            "cotangent": backend.upload(weights),
        },
    )
    (noise,) = noise_chunks(0, 2, 2, manifest.input.shape)

    def statistics(rows: Array) -> State:
        sampler.restart()
        sampler.run(len(rows), {"noise": backend.upload(rows)})
        return sampler.halves()[0]

    first, second = statistics(noise[:1]), statistics(noise[1:])
    same, mixed = statistics(noise[np.zeros_like(index)]), statistics(noise[index])
    # Per row, from their mean: equal rows have no variance.
    spread = float(np.sqrt(same.m2.sum(dtype=np.float64) / len(index)))
    expected = first.mean + (second.mean - first.mean) * np.float32(index.mean())
    found = {
        "scores of rows in a batch are off by": _error(together, scores[index]),
        "gradients of equal rows differ by": spread / _norm(first.mean),
        "gradients of equal rows are off by": _error(same.mean, first.mean),
        "gradients of rows in a batch are off by": _error(mixed.mean, expected),
    }
    allowed = ROWS[backend.precision]
    return [Finding(check, error, allowed) for check, error in found.items()]


def _error(found: Array, expected: Array) -> float:
    return _norm(found - expected) / _norm(expected)


def _norm(values: Array) -> float:
    return max(float(np.linalg.norm(values.astype(np.float64).ravel())), 1e-30)
