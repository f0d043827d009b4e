"""The canary: checks with known answers of one engine with one bundle, before the first explanation.

An engine can compile a graph and compute something else: NVIDIA/TensorRT #4853 and #4796 are silently wrong
rows in batches of more than one, and no map would show them. So each engine other than the one that the
exporter verified with must give equal results for equal rows of a batch, the same results for a row in a
batch and alone, and the bundle's own map for the bundle's own frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import COTANGENT, IMAGE, NOISE, NOISE_STD
from gagrad_edge.method.noise import noise_chunks
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.target import Target, cotangent
from gagrad_runtime.sampling.statistics import Sampler
from gagrad_runtime.session.answers import examine_answers
from gagrad_runtime.session.finding import Finding
from gagrad_runtime.session.selftest import reference_frame, run_selftest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import Numbers
    from gagrad_edge.method.reference import State
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]

ROWS: dict[Numbers, float] = {"float32": 0.02, "float16": 0.1, "bfloat16": 0.1}
"""Largest difference ‖a − b‖₂ / ‖b‖₂ of rows in a batch from the same rows alone. Kernels for another batch
size round differently, which flips single ReLUs; a wrong row is off by about 1, by 0.3 among ten right."""
CORRELATION: dict[Numbers, float] = {"float32": 0.999, "float16": 0.98, "bfloat16": 0.98}
"""Least rank correlation (Spearman) with the bundle's map. Not the share of equal pixels, as in ``verify``,
because rounding alone moves pixels over the guide's threshold."""
_SCALE: dict[Numbers, float] = {"float32": 0.01, "float16": 0.05, "bfloat16": 0.15}
"""Largest relative difference of the score and the gradient's magnitude from the bundle's."""


def examine(bundle: Bundle, explainer: Explainer) -> list[Finding]:
    """Return the findings for ``explainer``'s engine, which takes about as long as three explanations.

    Raises BundleError, ModelError and DeviceError.
    """
    precision = explainer.backend.computes_in
    test = run_selftest(bundle, explainer)
    findings = [
        Finding("the map's rank order differs by", 1 - test.correlation, 1 - CORRELATION[precision]),
        Finding("the score is off by", test.score_error, _SCALE[precision]),
        Finding("the gradient's magnitude is off by", test.magnitude_error, _SCALE[precision]),
        *examine_answers(bundle, explainer, every=False),
    ]
    if explainer.largest_chunk == 1:
        return findings
    return [*findings, *_rows(bundle, explainer)]


def _rows(bundle: Bundle, explainer: Explainer) -> list[Finding]:
    """Compare the rows of a batch of the bundle's chunk size with the same rows alone."""
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
            IMAGE: backend.upload(image),
            NOISE_STD: backend.upload(np.array(manifest.method.noise_std, np.float32)),
            COTANGENT: backend.upload(weights),
        },
    )
    (noise,) = noise_chunks(0, 2, 2, manifest.input.shape)

    def statistics(noise: Array) -> State:
        sampler.restart()
        sampler.run(len(noise), {NOISE: backend.upload(noise)})
        return sampler.halves()[0]

    first, second = statistics(noise[:1]), statistics(noise[1:])
    same, mixed = statistics(noise[np.zeros_like(index)]), statistics(noise[index])
    # Deviation per row from the rows' mean: equal rows have no variance.
    spread = float(np.sqrt(same.m2.sum(dtype=np.float64) / len(index)))
    expected = first.mean + (second.mean - first.mean) * np.float32(index.mean())
    found = {
        "scores of rows in a batch are off by": _error(together, scores[index]),
        "gradients of equal rows differ by": spread / _norm(first.mean),
        "gradients of equal rows are off by": _error(same.mean, first.mean),
        "gradients of rows in a batch are off by": _error(mixed.mean, expected),
    }
    allowed = ROWS[backend.computes_in]
    return [Finding(check, error, allowed) for check, error in found.items()]


def _error(found: Array, expected: Array) -> float:
    return _norm(found - expected) / _norm(expected)


def _norm(values: Array) -> float:
    return max(float(np.linalg.norm(values.astype(np.float64).ravel())), 1e-30)
