"""The reverse walk: contributions are summed, broadcasting is undone, what has no rule is refused.

Models are written as text, in float64, and run in onnx's reference evaluator: a wrong term cannot hide
behind rounding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import parser
from onnx.reference import ReferenceEvaluator

from gagrad_edge.errors import ModelError, UnsupportedOperatorError
from gagrad_export import export
from gagrad_export.assemble.graph import finish
from gagrad_export.differentiate import gradients, registry
from gagrad_export.emit import Op
from gagrad_export.lower import lower

Array = NDArray[np.float64]
STEP = 1e-6


def model_of(signature: str, body: str, opset: int = 18) -> onnx.ModelProto:
    text = f'<ir_version: 10, opset_import: ["" : {opset}]> m {signature} {{ {body} }}'
    return onnx.shape_inference.infer_shapes(parser.parse_model(text), strict_mode=True)


def walked(model: onnx.ModelProto, wrt: list[str], out: str = "y") -> tuple[Op, list[ir.Value | None]]:
    """Return the emitter behind the walk, and the gradients of ⟨dy, out⟩ with a free input ``dy``."""
    graph = ir.serde.deserialize_model(model).graph
    graph.opset_imports.setdefault("", model.opset_import[0].version)
    op = Op(graph)
    values = {value.name: value for value in [*graph.inputs, *(v for n in graph for v in n.outputs)]}
    score = values[out]
    dy = ir.Value(name="dy", shape=score.shape, type=score.type)
    graph.inputs.append(dy)
    return op, gradients(op, {score: dy}, [values[name] for name in wrt])


def gradient(model: onnx.ModelProto, feeds: dict[str, Array], dy: Array, out: str = "y") -> dict[str, Array]:
    """Return the gradient of ⟨dy, out⟩ with respect to every value in ``feeds``."""
    op, found = walked(model, list(feeds), out)
    op.graph.outputs.clear()
    present = {f"d{name}": dx for name, dx in zip(feeds, found, strict=True) if dx is not None}
    assert len(present) == len(feeds), f"no gradient for some of {list(feeds)}"
    lower(op)
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(finish(op, present).complete()))
    results = evaluator.run(list(present), {**feeds, "dy": dy})
    return {name: np.asarray(result) for name, result in zip(feeds, results, strict=True)}


def differences(model: onnx.ModelProto, feeds: dict[str, Array], dy: Array) -> dict[str, Array]:
    """Return the same by central differences, element by element."""
    evaluator = ReferenceEvaluator(model)
    found = {}
    for name, value in feeds.items():
        slope = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * STEP
                ends.append(np.vdot(evaluator.run(None, {**feeds, name: moved})[0], dy))
            slope[index] = (ends[0] - ends[1]) / (2 * STEP)
        found[name] = slope
    return found


def test_a_value_used_twice_sums_its_contributions() -> None:
    """y = x·eˣ + x  ⟹  dy/dx = eˣ·(1 + x) + 1: three uses of x."""
    model = model_of("(double[4] x) => (double[4] y)", "a = Exp (x) b = Mul (x, a) y = Add (b, x)")
    x, dy = np.array([-1.0, 0.0, 0.5, 2.0]), np.array([1.0, 2.0, -3.0, 0.5])
    expected = dy * (np.exp(x) * (1 + x) + 1)
    np.testing.assert_allclose(gradient(model, {"x": x}, dy)["x"], expected, rtol=1e-12)


def test_one_value_as_both_operands() -> None:
    """x·x is 2x, x − x is 0, x / x is 0: the two contributions of one node meet in one value."""
    x, dy = np.array([-1.5, 0.5, 3.0]), np.array([1.0, 2.0, -1.0])
    for name, expected in (("Mul", 2 * x * dy), ("Add", 2 * dy), ("Sub", 0 * dy), ("Div", 0 * dy)):
        model = model_of("(double[3] x) => (double[3] y)", f"y = {name} (x, x)")
        np.testing.assert_allclose(gradient(model, {"x": x}, dy)["x"], expected, atol=1e-12)


def test_an_intermediate_value_used_by_three_branches() -> None:
    """The sum is complete before the producer's rule runs, in whatever order the branches come."""
    model = model_of(
        "(double[1, 2, 3, 3] x) => (double[1, 2, 3, 3] y)",
        "h = Tanh (x) a = Sigmoid (h) b = Mul (h, a) c = ReduceMean (h) d = Mul (b, c) y = Sub (d, h)",
    )
    rng = np.random.default_rng(0)
    feeds, dy = {"x": rng.standard_normal((1, 2, 3, 3))}, rng.standard_normal((1, 2, 3, 3))
    found, expected = gradient(model, feeds, dy), differences(model, feeds, dy)
    np.testing.assert_allclose(found["x"], expected["x"], atol=1e-8)


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ("2, 3, 2, 4", "2, 3, 1, 1"),
        ("2, 3, 2, 4", "3, 1, 1"),
        ("2, 3, 2, 4", "4"),
        ("2, 3, 2, 4", ""),
        ("1, 3, 1, 4", "2, 1, 2, 1"),
        ("4", "2, 3, 1, 1"),
        ("", "2, 3"),
        ("1", "1, 1, 3"),
    ],
    ids=lambda shape: shape.replace(", ", "x") or "scalar",
)
@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
def test_broadcasting_is_undone(operator: str, shape: str, other: str) -> None:
    """Both operands get gradients of their own shape: sums over the axes along which they were repeated."""
    rng = np.random.default_rng(1)
    sizes = {"a": tuple(map(int, shape.split(", "))) if shape else ()}
    sizes["b"] = tuple(map(int, other.split(", "))) if other else ()
    result = np.broadcast_shapes(*sizes.values())
    written = ", ".join(map(str, result))
    a, b = (f"double[{dims}]" if dims else "double" for dims in (shape, other))
    model = model_of(f"({a} a, {b} b) => (double[{written}] y)", f"y = {operator} (a, b)")
    feeds = {name: np.asarray(rng.uniform(0.5, 2.0, size)) for name, size in sizes.items()}
    dy = rng.standard_normal(result)
    found, expected = gradient(model, feeds, dy), differences(model, feeds, dy)
    for name, size in sizes.items():
        assert found[name].shape == size
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-7, atol=1e-8)


def test_a_constant_cotangent_is_expanded_where_it_is_needed() -> None:
    """Behind two global means the cotangent has size 1 along every axis; the result has the full shape."""
    model = model_of(
        "(double[2, 3, 4, 5] x) => (double[2, 3] y)",
        "two = Constant <value_ints = [2, 3]> () g = GlobalAveragePool (x) y = Squeeze (g, two)",
    )
    dy = np.random.default_rng(2).standard_normal((2, 3))
    found = gradient(model, {"x": np.ones((2, 3, 4, 5))}, dy)["x"]
    np.testing.assert_allclose(found, np.broadcast_to(dy[..., None, None] / 20, (2, 3, 4, 5)), rtol=1e-12)


def test_the_end_of_the_walk_may_be_an_intermediate_value() -> None:
    """Gradients at x and at a value behind it, from one walk: dh = 2h·dy, dx = dh·h·(−1)."""
    model = model_of("(double[3] x) => (double[3] y)", "n = Neg (x) h = Exp (n) y = Mul (h, h)")
    op, (dh, dx) = walked(model, ["h", "x"])
    assert dh is not None
    assert dx is not None
    op.graph.outputs.clear()
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(finish(op, {"dh": dh, "dx": dx}).complete()))
    x, dy = np.array([0.0, 0.5, -1.0]), np.array([1.0, -2.0, 0.5])
    at_h, at_x = evaluator.run(["dh", "dx"], {"x": x, "dy": dy})
    np.testing.assert_allclose(at_h, 2 * np.exp(-x) * dy, rtol=1e-12)
    np.testing.assert_allclose(at_x, -2 * np.exp(-2 * x) * dy, rtol=1e-12)


def test_weights_get_no_gradient_nodes() -> None:
    """Only what x needs is built: one node for the input gradient of a Gemm, none for its weights."""
    model = model_of("(double[2, 3] x, double[3, 4] w) => (double[2, 4] y)", "y = Gemm (x, w)")
    op, (dx,) = walked(model, ["x"])
    assert dx is not None
    op.graph.outputs.clear()
    finished = onnx.load_model_from_string(finish(op, {"dx": dx}).complete())
    assert [node.op_type for node in finished.graph.node] == ["Gemm", "Identity"]
    assert [value.name for value in finished.graph.input] == ["x", "w", "dy"]


@pytest.mark.parametrize("operator", ["Sign", "Floor", "Ceil", "Round"])
def test_a_step_is_a_constant_to_the_walk(operator: str) -> None:
    """y = x·step(x): only the factor that is not a step carries a gradient."""
    model = model_of("(double[4] x) => (double[4] y)", f"s = {operator} (x) y = Mul (x, s)")
    x, dy = np.array([-1.7, -0.3, 0.4, 2.6]), np.array([1.0, 2.0, 3.0, -1.0])
    steps = {"Sign": np.sign, "Floor": np.floor, "Ceil": np.ceil, "Round": np.round}[operator](x)
    np.testing.assert_allclose(gradient(model, {"x": x}, dy)["x"], dy * steps, rtol=1e-12)


def test_declared_zero_operators_have_no_rule_and_are_known() -> None:
    """An operator is differentiated or declared zero, never both; a name unknown to onnx is a typo."""
    zero = registry.zero_operators()
    assert zero.isdisjoint({key[:2] for key in registry.registered_rules()})
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    assert zero <= known
    assert {("", "Shape"), ("", "ArgMax"), ("", "Greater")} <= zero
    assert not {("", "Where"), ("", "Gather"), ("", "Mod"), ("", "CumSum")} & zero


@pytest.mark.parametrize(
    ("body", "why"),
    [("y = Floor (x)", "a step"), ("s = Shape (x) y = Cast <to = 11> (s)", "a shape")],
)
def test_no_path_with_a_derivative_gives_none(body: str, why: str) -> None:
    """The walk says that there is no gradient, rather than one of zeros."""
    model = model_of("(double[3] x) => (double[M] y)", body)
    assert walked(model, ["x"])[1] == [None], why


@pytest.mark.parametrize(
    "body", ["f = Floor (x) y = ReduceMean <keepdims = 0> (f, axes)", "y = Identity (k)"]
)
def test_a_score_that_does_not_depend_on_the_image_is_refused(tmp_path: Path, body: str) -> None:
    """A map of zeros would be painted as an explanation; the export says there is nothing to explain."""
    weights = "<int64[2] axes = {2, 3}, float[1, 3] k = {1, 2, 3}>"
    text = f'<ir_version: 10, opset_import: ["" : 18]> m (float[N, 3, 8, 8] x) => (float[N, 3] y) {weights}'
    onnx.save(parser.parse_model(f"{text} {{ {body} }}"), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="`output_name`"):
        export(tmp_path / "m.onnx", tmp_path / "m.gagrad")
    assert not (tmp_path / "m.gagrad").exists()


def test_an_operator_without_a_rule_is_refused_by_name() -> None:
    """Node, operator, version and a way out."""
    model = model_of("(double[2, 3, 3] x) => (double[2] y)", "a = Exp (x) [strange] b = Det (a) y = Neg (b)")
    with pytest.raises(UnsupportedOperatorError) as refusal:
        walked(model, ["x"])
    error = refusal.value
    assert error.where == "node 'strange'"
    assert "operator Det (version 11) has no differentiation rule" in error.what
    assert error.hint is not None
    assert "`output_name`" in error.hint


def test_an_operator_without_a_rule_off_the_path_does_no_harm() -> None:
    """Neither beside the path nor in front of the asked-for value is a rule needed."""
    model = model_of(
        "(double[2, 2] x, double[2, 2] w) => (double[2, 2] y)", "d = Det (w) e = Mul (x, d) y = Neg (e)"
    )
    w = np.array([[2.0, 1.0], [0.0, 3.0]])
    op, (dx,) = walked(model, ["x"])
    assert dx is not None
    op.graph.outputs.clear()
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(finish(op, {"dx": dx}).complete()))
    (found,) = evaluator.run(["dx"], {"x": np.zeros((2, 2)), "w": w, "dy": np.ones((2, 2))})
    np.testing.assert_allclose(found, np.full((2, 2), -6.0), rtol=1e-12)


def test_an_input_that_the_rule_does_not_cover_is_refused() -> None:
    """Clip has a rule for its first input; a bound that depends on the image is named by index."""
    model = model_of("(double[3] x, double b) => (double[3] y)", "c = Exp (b) [limit] y = Clip (x, c)")
    with pytest.raises(UnsupportedOperatorError, match=r"Clip.*input 1 \(c\)"):
        walked(model, ["b"])


def test_a_version_without_a_rule_names_those_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer definition of a known operator is not differentiated by the old rule."""
    monkeypatch.delitem(registry._rules, ("", "Relu", 14))
    model = model_of("(double[3] x) => (double[3] y)", "y = Relu (x)")
    with pytest.raises(UnsupportedOperatorError, match=r"Relu \(version 14\).*versions \[6, 13\]"):
        walked(model, ["x"])


def test_an_operator_of_another_domain_is_named_with_it() -> None:
    """An operator of another domain is refused by domain and name."""
    text = """<ir_version: 10, opset_import: ["" : 18, "acme" : 1]>
        m (double[3] x) => (double[3] y) { [odd] y = acme.Twist (x) }"""
    model = parser.parse_model(text)
    with pytest.raises(UnsupportedOperatorError, match=r"acme::Twist \(version unknown\)"):
        walked(model, ["x"])
