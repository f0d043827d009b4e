"""Files of opset 7 to 12 mean what they meant: converted, they give the scores of the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise import canonicalise
from tests.export.source_check import check_rows, exported, model_of

rng = np.random.default_rng(0)
WEIGHTS = {
    "w": rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32),
    "fc": rng.normal(0, 1, (5, 4)).astype(np.float32),
    "b": rng.normal(0, 1, 5).astype(np.float32),
    **{name: rng.uniform(0.5, 1.5, 4).astype(np.float32) for name in ("gain", "shift", "mean", "var")},
}

START = "c = Conv (image, w)"
END = "g = GlobalAveragePool (r) q = Squeeze <axes = [2, 3]> (g) scores = Gemm <transB = 1> (q, fc, b)"
CASES = {
    "Clip by attributes": (7, "r = Clip <min = -0.1, max = 0.3> (c)"),
    "BatchNormalization": (9, "r = BatchNormalization (c, gain, shift, mean, var)"),
    "Dropout": (10, "d, mask = Dropout <ratio = 0.4> (c) r = Relu (d)"),
    "Dropout of 7": (7, "d = Dropout (c) r = Relu (d)"),
    "Pad by attributes": (9, "p = Pad <pads = [0, 0, 1, 2, 0, 0, 0, 1]> (c) r = Relu (p)"),
    "reflecting Pad": (9, 'r = Pad <mode = "reflect", pads = [0, 0, 1, 2, 0, 0, 0, 1]> (c)'),
    "Slice by attributes": (9, "r = Slice <axes = [2], starts = [1], ends = [-2]> (c)"),
    "Softmax over all axes from 1": (9, "r = Softmax (c)"),
    "Softmax over axis 3": (12, "r = Softmax <axis = 3> (c)"),
    "LogSoftmax over axes from 2": (11, "r = LogSoftmax <axis = 2> (c)"),
    "Split by attribute": (11, "m, n = Split <axis = 1, split = [1, 3]> (c) r = Concat <axis = 1> (n, m)"),
    "Upsample, nearest": (9, 'r = Upsample <mode = "nearest"> (c, scales)'),
    "Upsample, linear": (9, 'r = Upsample <mode = "linear"> (c, scales)'),
    "Resize of 10": (10, 'r = Resize <mode = "linear"> (c, scales)'),
    "Upsample by 1.6": (9, 'r = Upsample <mode = "nearest"> (c, odd)'),
    "ReduceMean and Unsqueeze": (
        11,
        "m = ReduceMean <axes = [1], keepdims = 0> (c) u = Unsqueeze <axes = [1]> (m) r = Mul (c, u)",
    ),
    "ReduceSum by attributes": (11, "m = ReduceSum <axes = [1], keepdims = 1> (c) r = Mul (c, m)"),
    "an average pool": (7, "r = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c)"),
}


def old_model(what: str, *, ir_version: int = 4) -> onnx.ModelProto:
    opset, middle = CASES[what]
    text = f"(float[N, 3, 10, 10] image) => (float[N, 5] scores) {{ {START} {middle} {END} }}"
    scales = {"scales": np.array([1, 1, 2, 2], np.float32), "odd": np.array([1, 1, 1.6, 1.6], np.float32)}
    weights = {**WEIGHTS, **scales}
    used = {name: value for name, value in weights.items() if f" {name}" in text or f"({name}" in text}
    return model_of(text, opset=opset, ir_version=ir_version, **used)


@pytest.mark.parametrize("what", CASES)
def test_an_old_operator_gives_the_scores_of_the_source(what: str) -> None:
    """A model of an old opset gives its scores after conversion to opset 18 or later."""
    canonical = check_rows(old_model(what))
    assert canonical.opset >= 18


def test_weights_listed_as_inputs_are_weights() -> None:
    """Before IR version 4 every initializer is an input, too, with the image somewhere among them."""
    proto = old_model("BatchNormalization", ir_version=3)
    for tensor in proto.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        proto.graph.input.insert(0, value)
    onnx.checker.check_model(proto)
    canonical = check_rows(proto)
    assert "BatchNormalization" not in canonical.operators
    assert not any("input" in note for note in canonical.notes)


@pytest.mark.slow
def test_an_old_file_is_explained(tmp_path: Path) -> None:
    """The whole way, to graphs that TensorRT builds."""
    exported(old_model("BatchNormalization"), tmp_path)


def test_a_scan_of_opset_8_is_refused() -> None:
    """Its inputs have a batch axis, which the conversion drops: the scores would be wrong."""
    body = "b (float[10] s, float[10] x) => (float[10] t, float[10] y) { t = Add (s, x) y = Identity (t) }"
    scan = f"""f = Squeeze <axes = [1]> (c) t, y = Scan <num_scan_inputs = 1, body = {body}>
        (, start, f)"""
    text = f"(float[1, 1, 10, 10] image) => (float[1, 10] t) {{ c = Relu (image) {scan} }}"
    model = model_of(text, opset=8, ir_version=4, start=np.zeros((1, 10), np.float32))
    with pytest.raises(UnsupportedOperatorError, match="Scan is not supported here: version 8"):
        canonicalise(model)
