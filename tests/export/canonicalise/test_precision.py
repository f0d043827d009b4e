"""A model in half precision is explained in float32, and compared with itself as closely as it can be."""

from __future__ import annotations

import copy
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_export.assemble import predict_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.settings import input_spec
from tests.export.source_check import check_rows, exported, model_of

BODY = "c = Conv (x, w) r = Relu (c) m = ReduceMean <keepdims = 0> (r, axes) y = MatMul (m, fc)"


def small(kind: str, number: int, dtype: type, *, inside: bool) -> onnx.ModelProto:
    """Return a model in ``dtype``; ``inside`` casts, between a float32 input and output."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(0, 0.3, (4, 3, 3, 3)).astype(dtype),
        "fc": rng.normal(0, 1, (4, 5)).astype(dtype),
        "axes": np.array([2, 3]),
    }
    outer = "float" if inside else kind
    ends = (f"x = Cast <to = {number}> (image)", "scores = Cast <to = 1> (y)")
    first, last = ends if inside else ("x = Identity (image)", "scores = Identity (y)")
    text = f"({outer}[N, 3, 12, 12] image) => ({outer}[N, 5] scores) {{ {first} {BODY} {last} }}"
    return model_of(text, **weights)


@pytest.mark.slow
@pytest.mark.parametrize("inside", [False, True], ids=["inputs too", "float32 outside"])
@pytest.mark.parametrize(
    ("kind", "number", "dtype", "tolerance"),
    [
        ("float16", 10, np.float16, 2e-2),
        ("bfloat16", 16, ml_dtypes.bfloat16, 1e-1),
        ("double", 11, np.float64, 1e-3),
    ],
)
def test_all_of_it_becomes_float32(
    tmp_path: Path, kind: str, number: int, dtype: type, tolerance: float, inside: bool
) -> None:
    """A float16, bfloat16 or float64 model becomes float32 throughout, within its own precision."""
    proto = small(kind, number, dtype, inside=inside)
    canonical = check_rows(proto, tolerance=tolerance / 2)
    assert "Cast" not in canonical.operators
    verification = exported(proto, tmp_path).manifest.verification
    assert verification.forward_tolerance == tolerance
    assert verification.forward_error <= tolerance
    for tensor in onnx.load_from_string(
        read_bundle(tmp_path / "m.gagrad").graph("accumulate")
    ).graph.initializer:
        assert tensor.data_type in (TensorProto.FLOAT, TensorProto.INT64)


@pytest.mark.slow
def test_the_summary_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """export prints, and the manifest notes, that the model computes in float16."""
    onnx.save(small("float16", 10, np.float16, inside=False), tmp_path / "m.onnx")
    assert run(["export", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.gagrad")]) == 0
    assert "computes in float16, its explanation in float32" in capsys.readouterr().err
    notes = read_bundle(tmp_path / "m.gagrad").manifest.model.notes
    assert any("float16" in note for note in notes)


@pytest.mark.slow
def test_a_network_cast_to_half() -> None:
    """ResNet-18 by ``.half()``: its float32 form is what float32 gives with the rounded weights."""
    import onnxruntime
    import torch

    from tests.export.networks import network
    from tests.export.source_check import FREE, legacy_export

    module = network("resnet18")
    rounded = copy.deepcopy(module).half().float()
    proto = legacy_export(rounded, 32, axes=FREE)
    half = onnx.ModelProto()
    half.CopyFrom(proto)
    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del half.graph.value_info[:]
    canonical = check_rows(half, tolerance=2e-2)
    spec = input_spec(canonical, mean=None, std=None)
    x = np.random.default_rng(0).uniform(0, 1, (2, 3, 32, 32)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(predict_graph(canonicalise(half), spec).complete()).run(
        None, {"image": x}
    )
    with torch.no_grad():
        expected = rounded(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
