"""Poolings that round up: windows that would start in the end padding do not count, whatever the opset."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import parser

from gagrad_export.assemble.graph import add_input, finish, insert_model, new_graph
from gagrad_export.canonicalise import canonicalise

CASES = [
    *((name, "pads = [1, 1, 1, 1]") for name in ("MaxPool", "AveragePool", "LpPool")),
    *((name, 'auto_pad = "VALID"') for name in ("MaxPool", "AveragePool", "LpPool")),
    ("AveragePool", "pads = [0, 1, 0, 1], count_include_pad = 1"),
]


@pytest.mark.parametrize("opset", [18, 22])
@pytest.mark.parametrize(("name", "padding"), CASES)
def test_disputed_rounding(name: str, padding: str, opset: int) -> None:
    """Two in a row, so that the second sees the size that the first really has; shapes as they come out."""
    pooling = f"{name} <kernel_shape = [2, 2], strides = [3, 2], {padding}, ceil_mode = 1>"
    source = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> m (float[N, 3, 15, 13] image) => (float[N, K] y) '
        f"{{ a = {pooling} (image)  b = {pooling} (a)  y = Flatten (b) }}"
    )
    model = canonicalise(source)
    image = np.random.default_rng(0).uniform(size=(2, *model.input_shape)).astype(np.float32)
    want = onnxruntime.InferenceSession(source.SerializeToString()).run(None, {"image": image})[0]
    assert model.score_shape == want.shape[1:]
    op = new_graph("rounded", model.opset)
    scores = insert_model(op, model, add_input(op, "image", ["N", *model.input_shape]))
    got = onnxruntime.InferenceSession(finish(op, {"scores": scores}).complete()).run(None, {"image": image})[
        0
    ]
    np.testing.assert_allclose(got, want, rtol=1e-6)
