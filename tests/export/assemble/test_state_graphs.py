"""The graphs over the running statistics against their numpy reference."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.manifest import GraphRole
from gagrad_edge.method.reference import STATE_MAPS, State, accumulate, combine, state_maps
from gagrad_export import BundleOptions, export
from gagrad_export.assemble import combine_graph, maps_graph
from tests.export.networks import tensorrt_refuses
from tests.models import tiny_model

SHAPE = (3, 17, 13)


def state(samples: int, seed: int = 0, scale: float = 1.0) -> State:
    generator = np.random.default_rng(seed)
    gradients = generator.normal(scale, scale, (samples, *SHAPE)).astype(np.float32)
    return accumulate(State.empty(SHAPE), gradients)


def inputs(value: State, prefix: str = "") -> dict[str, np.ndarray]:
    named = {"count": np.array(value.count, np.float32)}
    named |= {name: getattr(value, name) for name in ("abs_sum", "mean", "m2")}
    return {prefix + name: array for name, array in named.items()}


@pytest.mark.parametrize(("first", "second"), [(7, 5), (1, 1), (0, 4), (4, 0)])
def test_combine_merges_two_halves(first: int, second: int) -> None:
    """The graph, its reference, and the statistics of all gradients at once agree."""
    generator = np.random.default_rng(1)
    gradients = generator.normal(3, 1, (first + second, *SHAPE)).astype(np.float32)
    halves = [
        accumulate(State.empty(SHAPE), part) if len(part) else State.empty(SHAPE)
        for part in (gradients[:first], gradients[first:])
    ]
    session = onnxruntime.InferenceSession(combine_graph(SHAPE).complete())
    count, abs_sum, mean, m2 = session.run(None, inputs(halves[0], "first_") | inputs(halves[1], "second_"))
    expected = accumulate(State.empty(SHAPE), gradients)
    for found in (State(int(count), abs_sum, mean, m2), combine(*halves)):
        assert found.count == expected.count
        for name in ("abs_sum", "mean", "m2"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-5)


def test_maps_are_the_methods_of_the_literature() -> None:
    """Against the definitions, written from the gradients themselves."""
    gradients = np.random.default_rng(2).normal(1, 2, (9, *SHAPE)).astype(np.float32)
    times = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    found = accumulate(State.empty(SHAPE), gradients)
    session = onnxruntime.InferenceSession(maps_graph(SHAPE).complete())
    (maps,) = session.run(None, inputs(found) | {"times": times})
    wide = gradients.astype(np.float64)
    expected = {
        "absolute": np.abs(wide).mean(0).sum(0),
        "signed": np.abs(wide.mean(0) * times).sum(0),
        "squared": np.square(wide).mean(0).sum(0),
        "variance": wide.var(0, ddof=1).sum(0),
    }
    assert tuple(expected) == STATE_MAPS
    for index, name in enumerate(STATE_MAPS):
        np.testing.assert_allclose(maps[index], expected[name], rtol=2e-5, err_msg=name)
        np.testing.assert_allclose(state_maps(found, times)[index], expected[name], rtol=2e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("graph", [combine_graph, maps_graph])
def test_tensorrt_builds_them(graph: object) -> None:
    """Both hold elementwise work and sums only."""
    assert tensorrt_refuses(graph(SHAPE), batch=1) == ""  # type: ignore[operator]


@pytest.mark.slow
def test_tensorrt_builds_every_graph_of_a_bundle(tmp_path: Path) -> None:
    """With all that an export can add: class activation maps, perturbed copies, guides, both targets."""
    onnx.save(tiny_model(), tmp_path / "m.onnx")
    out = tmp_path / "m.gagrad"
    export(tmp_path / "m.onnx", out, bundle=BundleOptions(targets=["tensorrt"], perturbations=True))
    bundle = read_bundle(out)
    entries = bundle.manifest.graphs
    assert {entry.role for entry in entries} == set(get_args(GraphRole))
    assert {entry.variant for entry in entries} >= {"", "perturbed", "pooled"}
    for entry in entries:
        assert tensorrt_refuses(bundle.graph(entry.key), batch=4) == "", entry
