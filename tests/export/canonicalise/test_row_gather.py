"""Gathers from a flattened batch become gathers within rows, and only those that are."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from gagrad_export.assemble.graph import add_input, finish, insert_model, new_graph
from gagrad_export.canonicalise import canonicalise


def strided_view(offsets: str, stride: int = 48, shape: str = "4, 3") -> onnx.ModelProto:
    """Return what torch writes for ``as_strided``: row starts plus ``offsets``, from the flat batch."""
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        m (float[N, 3, 4, 4] x) => (float[N, 4, 3] y) <
            int64[1] all = {{-1}}, int64 zero = {{0}}, int64 one = {{1}}, int64 stride = {{{stride}}},
            int64[2] behind = {{1, 2}}, int64[1, {shape}] offsets = {{{offsets}}}
        > {{
            r = Relu (x)
            flat = Reshape (r, all)
            size = Shape <start = 0, end = 1> (x)
            rows = Squeeze (size)
            counted = Range (zero, rows, one)
            starts = Mul (counted, stride)
            column = Unsqueeze (starts, behind)
            indices = Add (column, offsets)
            y = Gather <axis = 0> (flat, indices)
        }}
    """)
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("stride", [48, 12])
@pytest.mark.parametrize("offsets", [range(12), range(47, 35, -1), [0, 0, 5, 7, 7, 47, 1, 2, 3, 4, 5, 6]])
def test_each_row_is_what_the_model_makes_of_it_alone(offsets: list[int], stride: int) -> None:
    """Also where rows of a batch would overlap, which a model that is right for one image cannot mean."""
    model = strided_view(", ".join(map(str, offsets)), stride)
    canonical = canonicalise(model)
    assert "Range" not in canonical.operators
    op = new_graph("check", canonical.opset)
    scores = insert_model(op, canonical, add_input(op, "x", ["N", 3, 4, 4]))
    x = np.random.default_rng(0).standard_normal((3, 3, 4, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])
    found = onnxruntime.InferenceSession(finish(op, {"y": scores}).complete()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, expected)


def test_a_view_of_everything_is_a_reshape() -> None:
    """A strided view of every element needs no Gather."""
    model = strided_view(", ".join(map(str, range(48))), shape="12, 4")
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    for size in (None, 12, 4):
        dim = model.graph.output[0].type.tensor_type.shape.dim.add()
        dim.dim_param = "N" if size is None else ""
        if size is not None:
            dim.dim_value = size
    assert "Gather" not in canonicalise(model).operators
