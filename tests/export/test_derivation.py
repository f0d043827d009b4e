"""Tensors that follow from others are found by their numbers, and not stored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.weights import derive
from gagrad_edge.manifest import WEIGHTS, GraphKey
from gagrad_export import BundleOptions, export
from gagrad_export.assemble.external import SMALLEST, apart
from gagrad_export.derivation import stored_and_derived
from gagrad_export.lower.convolution import reversed_weights
from tests.models import SIZE, tiny_model

if TYPE_CHECKING:
    from gagrad_edge.bundle.graph_file import GraphFile

RNG = np.random.default_rng(0)
W = RNG.standard_normal((48, 8, 3, 3)).astype(np.float32)
GROUPED = RNG.standard_normal((12, 4, 3, 5)).astype(np.float32)
DEPTHWISE = RNG.standard_normal((48, 1, 3, 3)).astype(np.float32)
MATRIX = RNG.standard_normal((20, 30)).astype(np.float32)
LINE = RNG.standard_normal((24, 16, 7)).astype(np.float32)
SWAPPED = np.ascontiguousarray(W.swapaxes(0, 1))
CASES = {
    "reversed": (W, reversed_weights(W, 1)),
    "swapped only": (W, SWAPPED),
    "reversed in groups": (GROUPED, reversed_weights(GROUPED, 2)),
    "reversed depthwise": (DEPTHWISE, reversed_weights(DEPTHWISE, 48)),
    "reversed in one axis": (LINE, reversed_weights(LINE, 1)),
    "phase 0, 1": (W, np.ascontiguousarray(SWAPPED[:, :, ::2, 1::2][:, :, ::-1, ::-1])),
    "phase 1, 0": (W, np.ascontiguousarray(SWAPPED[:, :, 1::2, ::2][:, :, ::-1, ::-1])),
    "transposed": (MATRIX, np.ascontiguousarray(MATRIX.T)),
    "rounded": (W, W.astype(np.float16)),
    "reversed and rounded": (W, reversed_weights(W, 1).astype(np.float16)),
}


def file(*arrays: np.ndarray) -> GraphFile:
    """Return a graph that holds ``arrays``."""
    graph = ir.Graph([], [], nodes=[], name="g", opset_imports={"": 18})
    for i, array in enumerate(arrays):
        graph.register_initializer(ir.Value(name=f"w{i}", const_value=ir.tensor(array, name=f"w{i}")))
    return apart(ir.Model(graph, ir_version=9))


@pytest.mark.parametrize("case", CASES)
def test_a_tensor_that_follows_from_another_is_derived(case: str) -> None:
    """Byte for byte, from the one that comes first."""
    source, other = CASES[case]
    assert min(source.nbytes, other.nbytes) >= SMALLEST
    stored, derived = stored_and_derived([file(source), file(other)])
    name = hashlib.sha256(other.tobytes()).hexdigest()
    assert [*derived] == [name]
    assert [*stored] == [derived[name].source] == [hashlib.sha256(source.tobytes()).hexdigest()]
    assert derive(source.reshape(-1), derived[name]).tobytes() == other.tobytes()


def test_other_numbers_are_stored() -> None:
    """Of the same shape, or with one number changed; a vector is never searched for."""
    changed = reversed_weights(W, 1)
    changed[-1, -1, -1, -1] += 1
    vector = RNG.standard_normal(500).astype(np.float32)
    stored, derived = stored_and_derived([file(W, vector), file(changed, vector[::-1].copy())])
    assert (len(stored), derived) == (4, {})


def test_the_same_numbers_are_stored_once() -> None:
    """In several graphs, and under several shapes."""
    stored, derived = stored_and_derived([file(W), file(W.reshape(-1, 9)), file(W, MATRIX)])
    assert (len(stored), derived) == (2, {})


def wide_model() -> onnx.ModelProto:
    """Return ``tests.models.tiny_model`` with eight times the channels, so that its weights stand apart."""
    model = tiny_model()
    shapes = {"w1": (32, 3, 3, 3), "b1": (32,), "w2": (48, 32, 3, 3), "b2": (48,), "w3": (48, 3), "b3": (3,)}
    del model.graph.initializer[:]
    rng = np.random.default_rng(7)
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


@pytest.mark.slow
def test_a_bundle_holds_its_weights_once(tmp_path: Path) -> None:
    """With all graphs, for all targets, in both precisions; each derived tensor is what its hash says."""
    onnx.save(wide_model(), tmp_path / "m.onnx")
    options = BundleOptions(targets=["tensorrt"], perturbations=True, precisions=["float16"])
    export(tmp_path / "m.onnx", tmp_path / "m.gagrad", size=SIZE, bundle=options)
    bundle = read_bundle(tmp_path / "m.gagrad")
    stored = {name: entry.size for name, entry in bundle.manifest.files.items() if name.startswith(WEIGHTS)}
    largest = 4 * 48 * 32 * 9
    assert sorted(stored.values())[-1] == largest
    assert sum(stored.values()) < 1.15 * (largest + 4 * 32 * 3 * 9)
    for sha256 in bundle.manifest.derived:
        assert hashlib.sha256(bundle.weights[sha256].data).hexdigest() == sha256
    half = bundle.graph_file(GraphKey("accumulate", precision="float16"))
    assert any(one.dtype == np.float16 for one in half.references)
    for entry in bundle.manifest.graphs:
        graph = bundle.graph_file(entry.key)
        assert len(graph.data) < 60_000
        onnx.checker.check_model(graph.complete(), full_check=True)
