"""Quantised models in the forms that exist: exact arithmetic, float weights, other integers refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, parser

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_edge.input import InputSpec
from gagrad_export.assemble import predict_graph
from gagrad_export.canonicalise import canonicalise

SIZE = (24, 32)


def with_constants(body: str, opset: int, **constants: TensorProto) -> onnx.ModelProto:
    """Return a model from x to y of the image's shape."""
    model = parser.parse_model(f"""<ir_version: 10, opset_import: ["" : {opset}]>
        m (float[N, 3, 24, 32] x) => (float[N, 3, 24, 32] y) {{ {body} }}""")
    model.graph.initializer.extend(constants.values())
    return model


TYPES = {"uint8": 10, "int8": 10, "uint16": 21, "int16": 21, "uint4": 21, "int4": 21}


@pytest.mark.parametrize(("dtype", "opset"), TYPES.items())
@pytest.mark.parametrize("channels", [(), (3,)], ids=["per tensor", "per channel"])
def test_arithmetic_is_the_pair_bit_for_bit(dtype: str, opset: int, channels: tuple[int, ...]) -> None:
    """Ties, and both ends, against ONNX Runtime's own pair."""
    scales, zeros = ([0.25, 0.1, 3.0], [0, 3, 2]) if channels else ([0.25], [3])
    model = with_constants(
        "q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z)",
        max(opset, 13) if channels else opset,
        s=helper.make_tensor("s", TensorProto.FLOAT, channels, scales),
        z=helper.make_tensor("z", getattr(TensorProto, dtype.upper()), channels, zeros),
    )
    found = canonicalise(model)
    assert found.straight_through == 1
    spec = InputSpec(height=24, width=32, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)
    x = np.random.default_rng(0).normal(0, 50, (2, 3, *SIZE)).astype(np.float32)
    x[0] = np.round(x[0]) / 8  # every second one lies halfway between two steps
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, {"x": x})
    (scores,) = onnxruntime.InferenceSession(predict_graph(found, spec).complete()).run(None, {"image": x})
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize(
    ("body", "total"),
    [
        ("d = DequantizeLinear <axis = 0, block_size = 2> (w4, blocks)", 0.5 * (1 - 2) + 2.0 * (3 + 4)),
        ("d = DequantizeLinear <axis = 0> (w8, each)", 0.5 * 1 + 2.0 * -2 + 1.0 * 3),
        ("q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z)", 1.5 - 1.0),
        ("t = Transpose <perm = [0]> (w8) d = DequantizeLinear (t, s)", 0.5 * (1 - 2 + 3)),
    ],
    ids=["int4 in blocks", "per channel", "quantised as it runs", "moved before"],
)
def test_weights_of_any_form_become_float(body: str, total: float) -> None:
    """Quantised weights of each form become the float values that they stand for."""
    model = with_constants(
        f"{body} m = ReduceSum (d) y = Mul (x, m)",
        21,
        w4=helper.make_tensor("w4", TensorProto.INT4, [4, 1], [1, -2, 3, 4]),
        blocks=helper.make_tensor("blocks", TensorProto.FLOAT, [2, 1], [0.5, 2.0]),
        w8=helper.make_tensor("w8", TensorProto.INT8, [3], [1, -2, 3]),
        each=helper.make_tensor("each", TensorProto.FLOAT, [3], [0.5, 2.0, 1.0]),
        w=helper.make_tensor("w", TensorProto.FLOAT, [2], [1.3, -0.8]),
        s=helper.make_tensor("s", TensorProto.FLOAT, [], [0.5]),
        z=helper.make_tensor("z", TensorProto.UINT8, [], [10]),
    )
    found = canonicalise(model)
    assert found.straight_through == 0
    assert found.operators == {"Mul": 1}
    (weight,) = found.graph.initializers.values()
    assert weight.const_value is not None
    assert weight.const_value.numpy().ravel().tolist() == [total]


REFUSED = {
    "other scale": (
        "q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, t, z)",
        "DequantizeLinear.*not that of the QuantizeLinear before it",
    ),
    "computed scale": (
        "m = ReduceMax <keepdims = 0> (x) q = QuantizeLinear (x, m, z) y = DequantizeLinear (q, m, z)",
        "QuantizeLinear.*its scale or zero point is computed",
    ),
    "integers read": (
        "q = QuantizeLinear (x, s, z) a = DequantizeLinear (q, s, z) b = Cast <to = 1> (q) y = Add (a, b)",
        "QuantizeLinear.*its integers are read by Cast",
    ),
    "no quantiser": (
        "q = Cast <to = 2> (x) y = DequantizeLinear (q, s, z)",
        "DequantizeLinear.*what it reads is not made by QuantizeLinear",
    ),
    "float8": (
        "q = QuantizeLinear <output_dtype = 17> (x, s) y = DequantizeLinear (q, s)",
        "QuantizeLinear.*FLOAT8E4M3FN does not have steps of one size",
    ),
    "dynamic": (
        "q, a, b = DynamicQuantizeLinear (x) y = DequantizeLinear (q, a, b)",
        "DynamicQuantizeLinear.*no known derivative",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_straight_through_gradient_is_refused(name: str) -> None:
    """By operator, reason and node, with a way out."""
    body, why = REFUSED[name]
    with pytest.raises(UnsupportedOperatorError, match=why) as refusal:
        canonicalise(
            with_constants(
                body,
                21,
                s=helper.make_tensor("s", TensorProto.FLOAT, [], [0.5]),
                t=helper.make_tensor("t", TensorProto.FLOAT, [], [0.25]),
                z=helper.make_tensor("z", TensorProto.UINT8, [], [10]),
            )
        )
    assert "QDQ format" in (refusal.value.hint or "")
