"""If, Loop and Scan, unrolled: equal to what ONNX Runtime makes of them, or refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_edge.input import InputSpec
from gagrad_export.assemble import accumulate_graph
from gagrad_export.assemble.graph import add_input, finish, insert_model, new_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.canonicalise.canonical import Canonical
from gagrad_export.canonicalise.unroll import control_flow as unroll_control_flow
from tests.export.networks import tensorrt_refuses

SIZE = (4, 5)


TYPES = {"IMAGE": "float[N, 3, 4, 5]", "LINES": "float[?, 3, 5]", "ANY": "float[?, ?, ?]"}


def model_of(body: str, opset: int = 18) -> onnx.ModelProto:
    """Return a model from an image x to y; ``three``, ``yes``, ``no`` and ``w`` are constants."""
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]> m (IMAGE x) => (IMAGE y)
        <int64 three = {{3}}, bool yes = {{1}}, bool no = {{0}}, float[3, 1, 1] w = {{0.5, -1.0, 2.0}}>
        {{ {body} }}"""
    for name, written in TYPES.items():
        text = text.replace(name, written)
    return parser.parse_model(text)


WORKING = {
    "if": """y = If (yes) <then_branch = t () => (IMAGE a) { a = Mul (x, w) },
                          else_branch = e () => (IMAGE b) { b = Exp (x) }>""",
    "if on a shape": """s = Shape <start = 2, end = 3> (x) five = Constant <value_ints = [5]> ()
        q = Equal (s, five) y = If (q) <then_branch = t () => (IMAGE a) { a = Exp (x) },
                          else_branch = e () => (IMAGE b) { b = Tanh (x) }>""",
    "nested if": """y = If (yes) <
        then_branch = t () => (IMAGE a) {
            h = Mul (x, w)
            a = If (no) <then_branch = u () => (IMAGE c) { c = Exp (h) },
                         else_branch = v () => (IMAGE d) { d = Mul (h, w) }>
        }, else_branch = e () => (IMAGE b) { b = Exp (x) }>""",
    "for loop": """y = Loop (three, , x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r) {
        d = Identity (c) h = Mul (v, w) r = Tanh (h) }>""",
    "loop with its number": """y = Loop (three, yes, x) <body = b (int64 i, bool c, IMAGE v)
        => (bool d, IMAGE r) {
            d = Identity (c) f = Cast <to = 1> (i) h = Add (v, f)
            one = Constant <value_int = 1> () q = Equal (i, one)
            r = If (q) <then_branch = t () => (IMAGE a) { a = Mul (h, w) },
                        else_branch = e () => (IMAGE b) { b = Tanh (h) }>
        }>""",
    "loop that ends by itself": """last = Constant <value_int = 9> ()
        y = Loop (last, yes, x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r) {
            two = Constant <value_int = 2> () d = Less (i, two) r = Sin (v) }>""",
    "while loop": """start = Constant <value_int = 0> ()
        k, y = Loop (, yes, start, x) <body = b (int64 i, bool c, int64 k, IMAGE v)
        => (bool d, int64 n, IMAGE r) {
            four = Constant <value_int = 4> () one = Constant <value_int = 1> ()
            n = Add (k, one) d = Less (n, four) r = Mul (v, w) }>""",
    "loop that never runs": """y0 = Loop (three, no, x) <body = b (int64 i, bool c, IMAGE v)
        => (bool d, IMAGE r) { d = Identity (c) r = Exp (v) }> y = Mul (y0, w)""",
    "scan outputs": """z = Identity (x) v, s = Loop (three, , z) <body = b (int64 i, bool c, IMAGE v)
        => (bool d, IMAGE r, IMAGE o) { d = Identity (c) r = Mul (v, w) o = Tanh (r) }>
        zero = Constant <value_ints = [0]> () m = ReduceSum <keepdims = 0> (s, zero) y = Add (m, v)""",
    "swapped values": """a, b = Loop (three, , x, w) <body = b (int64 i, bool c, IMAGE p, ANY q)
        => (bool d, IMAGE r, ANY t) { d = Identity (c) r = Mul (p, q) t = Identity (q) }>
        y = Mul (a, b)""",
    "nested loops": """y = Loop (three, , x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r) {
        d = Identity (c) one = Constant <value_int = 1> () n = Add (i, one)
        r = Loop (n, , v) <body = inner (int64 j, bool e, IMAGE u) => (bool f, IMAGE s) {
            f = Identity (e) g = Cast <to = 1> (i) h = Mul (u, w) k = Add (h, g) s = Tanh (k) }> }>""",
    "body with weights": """y = Loop (three, , x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r)
        <float[5, 5] m = {1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0.5, 0, 0, 1, 0, 0, 1}> {
            d = Identity (c) h = MatMul (v, m) r = Tanh (h) }>""",
    "scan": """z = Transpose <perm = [2, 0, 1, 3]> (x) zero = Constant <value_ints = [2]> ()
        start = ReduceSum <keepdims = 0> (x, zero)
        last, all = Scan <num_scan_inputs = 1, body = b (LINES h, LINES e) => (LINES n, LINES o) {
            a = Add (h, e) n = Tanh (a) o = Mul (n, e) }> (start, z)
        t = Transpose <perm = [1, 2, 0, 3]> (all) two = Constant <value_ints = [2]> ()
        u = Unsqueeze (last, two) y = Add (t, u)""",
    "scan along axes and backwards": """two = Constant <value_ints = [2]> ()
        start = ReduceSum <keepdims = 0> (x, two)
        z = Exp (x)
        last, all, other = Scan <num_scan_inputs = 2, scan_input_axes = [2, -2],
            scan_input_directions = [0, 1], scan_output_axes = [2, -2], scan_output_directions = [1, 0],
            body = b (LINES h, LINES e, LINES f)
            => (LINES n, LINES o, LINES p) {
                a = Add (h, e) n = Tanh (a) o = Mul (n, f) p = Sub (n, e) }> (start, x, z)
        u = Unsqueeze (last, two) s = Add (all, u) y = Mul (s, other)""",
}


def canonical(model: onnx.ModelProto) -> Canonical:
    found = canonicalise(model)
    assert not {"If", "Loop", "Scan"} & set(found.operators)
    return found


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize("name", WORKING)
def test_equals_onnxruntime(name: str, opset: int) -> None:
    """Bit for bit: the same operators in the same order."""
    model = model_of(WORKING[name], opset=opset)
    op = new_graph("m", opset)
    scores = insert_model(op, canonical(model), add_input(op, "image", ["N", 3, *SIZE]))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, *SIZE)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(finish(op, {"scores": scores}).complete()).run(None, {"image": x})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scan", "nested loops", "body with weights"])
def test_the_gradient_is_built_by_tensorrt(name: str) -> None:
    """TensorRT-RTX builds the gradient of unrolled control flow."""
    spec = InputSpec(height=4, width=5, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)
    accumulate, _ = accumulate_graph(canonical(model_of(WORKING[name])), spec)
    assert tensorrt_refuses(accumulate) == ""


REFUSED = {
    "if": (
        """m = ReduceMax <keepdims = 0> (x) z = Constant <value_float = 0.0> () q = Greater (m, z)
        y = If (q) <then_branch = t () => (IMAGE a) { a = Exp (x) },
                    else_branch = e () => (IMAGE b) { b = Tanh (x) }>""",
        "If cannot be unrolled: which branch is taken depends on the image",
    ),
    "trip count": (
        """m = ReduceMax <keepdims = 0> (x) n = Cast <to = 7> (m)
        y = Loop (n, , x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r) {
            d = Identity (c) r = Exp (v) }>""",
        "Loop cannot be unrolled: how often it runs depends on the image",
    ),
    "condition": (
        """y = Loop (three, yes, x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r) {
            r = Exp (v) m = ReduceMax <keepdims = 0> (r)
            z = Constant <value_float = 0.0> () d = Greater (m, z) }>""",
        "Loop cannot be unrolled: how often it runs depends on the image",
    ),
    "endless": (
        """y = Loop (, yes, x) <body = b (int64 i, bool c, IMAGE v) => (bool d, IMAGE r) {
            d = Identity (c) r = Exp (v) }>""",
        "Loop cannot be unrolled: its iterations make a graph of more than 50 nodes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_image_decides_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operator, reason, node and a way out."""
    monkeypatch.setattr(unroll_control_flow, "MOST_NODES", 50)
    body, why = REFUSED[name]
    model = model_of(body)
    next(node for node in model.graph.node if node.op_type in ("If", "Loop", "Scan")).name = "flow"
    with pytest.raises(UnsupportedOperatorError, match=why) as refusal:
        canonicalise(model)
    assert refusal.value.where == "node 'flow'"
    assert "`output_name`" in (refusal.value.hint or "")


def test_control_flow_that_the_output_does_not_need_does_no_harm() -> None:
    """Control flow that does not reach the scores is dropped, and not refused."""
    body, _ = REFUSED["if"]
    assert canonical(model_of(body.replace("y = If", "y = Exp (x) u = If"))).operators == {"Exp": 1}
