"""The graph of the guide ``pooled`` against its numpy reference, and in TensorRT's builder."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from gagrad_edge.method.reference import State, accumulate, finalize
from gagrad_export.assemble import finalize_graph
from tests.export.networks import tensorrt_refuses

SHAPES = [(3, 48, 64), (1, 29, 37), (3, 5, 7)]
"""Whole tiles of the grid, cut ones, and an image smaller than one."""


def state(shape: tuple[int, int, int], samples: int, scale: float = 1e-3) -> State:
    """Return statistics with structure, a grid, and a dead corner."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[1], : shape[2]]
    size = scale * (1 + np.sin(x / 5) ** 2 + y / shape[1]) * np.where((x + y) % 2, 1.0, 0.4)
    gradients = (rng.standard_normal((samples, *shape)) * size).astype(np.float32)
    gradients[..., :2, :2] = 0
    return accumulate(State.empty(shape), gradients)


def run(graph: bytes, found: State, percentile: float) -> np.ndarray:
    inputs = {"count": np.array(found.count, np.float32), "percentile": np.array(percentile, np.float32)}
    inputs |= {"abs_sum": found.abs_sum, "mean": found.mean, "m2": found.m2}
    result: np.ndarray = onnxruntime.InferenceSession(graph).run(None, inputs)[0]
    return result


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("percentile", [0.85, 0.0, -1.0])
def test_the_graph_equals_the_reference(shape: tuple[int, int, int], percentile: float) -> None:
    """For one sample, few and many; a pixel may flip at the guide's step, the others agree to 1e-4."""
    graph = finalize_graph(shape, "pooled").complete()
    for samples in (1, 4, 300):
        found = state(shape, samples)
        expected = finalize(found, percentile, "pooled")
        difference = np.abs(run(graph, found, percentile) - expected)
        assert np.mean(difference <= 1e-4) >= 0.995, samples
        assert len(np.unique(expected)) > expected.size / 2


@pytest.mark.parametrize("scale", [1e-15, 1e12])
def test_the_unit_of_the_gradient_does_not_overflow(scale: float) -> None:
    """Gradients of 1e-15 or 1e12 give a finite map with maximum 1."""
    shape = SHAPES[0]
    saliency = run(finalize_graph(shape, "pooled").complete(), state(shape, 4, scale), 0.85)
    assert np.isfinite(saliency).all()
    assert saliency.max() == 1


def test_no_gradient_gives_a_map_of_ones() -> None:
    """As with the paper's guide: a constant map is 0/0."""
    empty = State.empty((3, 16, 16))
    assert (finalize(empty, 0.85, "pooled") == 1).all()
    assert (run(finalize_graph((3, 16, 16), "pooled").complete(), empty, 0.85) == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES[:2])
def test_tensorrt_builds_it(shape: tuple[int, int, int]) -> None:
    """TensorRT-RTX builds the pooled graph."""
    assert tensorrt_refuses(finalize_graph(shape, "pooled").complete(), batch=1) == ""
