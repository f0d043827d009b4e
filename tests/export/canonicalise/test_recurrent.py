"""LSTM, GRU and RNN, unrolled: equal to ONNX Runtime's own operators, differentiable, built by TensorRT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.assemble.graph import finish
from gagrad_export.canonicalise.contract import run
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.inference import supply_shapes
from gagrad_export.canonicalise.unroll.recurrent import UnrollRecurrent
from gagrad_export.differentiate import gradients
from gagrad_export.emit import Op
from gagrad_export.lower import lower
from tests.export.networks import tensorrt_refuses

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 4, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True)
class Case:
    """One recurrent node: attributes, which optional inputs it has, which outputs are asked for."""

    op_type: str
    attributes: dict[str, Any] = field(default_factory=dict)
    with_inputs: tuple[str, ...] = ("B",)
    outputs: tuple[str, ...] = ("Y", "Y_h")
    opset: int = 18

    def __str__(self) -> str:
        words = [f"{self.op_type}@{self.opset}", *self.with_inputs]
        words += [f"{name}={value}" for name, value in self.attributes.items()]
        return "-".join([*words, *self.outputs]).replace(" ", "").replace("'", "")

    @property
    def directions(self) -> int:
        """D."""
        return 2 if self.attributes.get("direction") == "bidirectional" else 1


def model_of(case: Case, dtype: type = np.float32, batch: int | str = BATCH) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    d, g = case.directions, GATES[case.op_type]
    swapped = case.attributes.get("layout") == 1
    state = (BATCH, d, HIDDEN) if swapped else (d, BATCH, HIDDEN)
    shapes = {
        "W": (d, g * HIDDEN, INPUTS),
        "R": (d, g * HIDDEN, HIDDEN),
        "B": (d, 2 * g * HIDDEN),
        "initial_h": state,
        "initial_c": state,
        "P": (d, 3 * HIDDEN),
    }
    arrays = {name: (0.5 * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}
    arrays["sequence_lens"] = np.full(BATCH, STEPS, np.int32)
    order = ["W", "R", "B", "sequence_lens", "initial_h"]
    order += ["initial_c", "P"] if case.op_type == "LSTM" else []
    present = {"W", "R", *case.with_inputs}
    inputs = ["x", *(name if name in present else "" for name in order)]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x = helper.make_tensor_value_info(
        "x", kind, [batch, STEPS, INPUTS] if swapped else [STEPS, batch, INPUTS]
    )
    every = ["Y", "Y_h", "Y_c"] if case.op_type == "LSTM" else ["Y", "Y_h"]
    names = [name if name in case.outputs else "" for name in every]
    node = helper.make_node(case.op_type, inputs, names, name="cell", hidden_size=HIDDEN, **case.attributes)
    made = helper.make_graph(
        [node],
        "m",
        [x],
        [helper.make_tensor_value_info(name, kind, None) for name in case.outputs],
        [numpy_helper.from_array(arrays[name], name) for name in order if name in present],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def unrolled(model: onnx.ModelProto) -> ir.Graph:
    source = ir.serde.deserialize_model(model)
    graph = source.graph
    assert run(source, [UnrollRecurrent()])
    supply_shapes(source, Known.ALL)
    assert not any(node.op_type in GATES for node in graph)
    return graph


def serialized(graph: ir.Graph) -> bytes:
    op, outputs = Op(graph), list(graph.outputs)
    graph.outputs.clear()
    return finish(op, {f"found_{value.name}": value for value in outputs}).complete()


TABLE = [
    *(Case(name) for name in GATES),
    *(Case(name, opset=opset) for name in GATES for opset in (13, 22)),
    *(Case(name, {"direction": d}) for name in GATES for d in ("reverse", "bidirectional")),
    *(Case(name, {"direction": "bidirectional"}, ("B", "sequence_lens", "initial_h")) for name in GATES),
    *(Case(name, {"clip": 0.3}) for name in GATES),
    *(Case(name, with_inputs=()) for name in GATES),
    *(Case(name, outputs=(out,)) for name in GATES for out in ("Y", "Y_h")),
    Case("LSTM", outputs=("Y_c",)),
    Case("LSTM", {"direction": "bidirectional"}, ("B", "initial_h", "initial_c", "P"), ("Y", "Y_h", "Y_c")),
    Case("LSTM", {"direction": "reverse"}, ("initial_c", "P"), ("Y", "Y_c")),
    Case("LSTM", {"clip": 0.2}, ("B", "P")),
    Case("LSTM", {"input_forget": 1}),
    Case("LSTM", {"input_forget": 1, "clip": 0.5}, ("B", "P")),
    *(Case("GRU", {"linear_before_reset": 1}, inputs) for inputs in ((), ("B",), ("B", "initial_h"))),
    *(Case("GRU", {"linear_before_reset": 1, "direction": d}) for d in ("reverse", "bidirectional")),
    *(
        Case("RNN", {"activations": [name], "activation_alpha": [a], "activation_beta": [b]})
        for name, a, b in (
            ("Affine", 0.7, 0.1),
            ("Elu", 0.7, 0.0),
            ("HardSigmoid", 0.3, 0.4),
            ("LeakyRelu", 0.2, 0.0),
            ("Relu", 0.0, 0.0),
            ("ScaledTanh", 0.8, 1.2),
            ("Sigmoid", 0.0, 0.0),
            ("Softplus", 0.0, 0.0),
            ("Softsign", 0.0, 0.0),
            ("Tanh", 0.0, 0.0),
            ("ThresholdedRelu", 0.2, 0.0),
        )
    ),
    *(Case("RNN", {"activations": [name]}) for name in ("Elu", "HardSigmoid", "LeakyRelu")),
    Case("LSTM", {"activations": ["HardSigmoid", "Softsign", "LeakyRelu"], "activation_alpha": [0.3, 0.2]}),
    Case(
        "LSTM",
        {
            "direction": "bidirectional",
            "activations": ["Sigmoid", "Tanh", "Relu", "HardSigmoid", "Softsign", "Tanh"],
        },
        ("B", "initial_h", "initial_c"),
        ("Y", "Y_h", "Y_c"),
    ),
    Case(
        "GRU",
        {
            "activations": ["HardSigmoid", "Affine"],
            "activation_alpha": [0.3, 0.7],
            "activation_beta": [0.4, 0.1],
        },
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_equals_onnxruntime(case: Case) -> None:
    """To 1e-5 in float32: the order of the additions is another, nothing else."""
    model = model_of(case)
    x = np.random.default_rng(1).standard_normal((STEPS, BATCH, INPUTS)).astype(np.float32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    session = onnxruntime.InferenceSession(serialized(unrolled(model)))
    for value, wanted in zip(session.run(None, {"x": x}), expected, strict=True):
        assert value.shape == wanted.shape
        np.testing.assert_allclose(value, wanted, atol=1e-5)


@pytest.mark.parametrize("name", GATES)
def test_layout_1_is_layout_0_transposed(name: str) -> None:
    """ONNX Runtime has no CPU kernel for layout 1; its definition swaps the batch to the front."""
    attributes = {"direction": "bidirectional"}
    plain = model_of(Case(name, attributes, ("B", "initial_h")))
    swapped = model_of(Case(name, {**attributes, "layout": 1}, ("B", "initial_h")))
    state = numpy_helper.to_array(swapped.graph.initializer[-1])
    plain.graph.initializer[-1].CopyFrom(numpy_helper.from_array(state.swapaxes(0, 1).copy(), "initial_h"))
    x = np.random.default_rng(1).standard_normal((STEPS, BATCH, INPUTS)).astype(np.float32)
    y, y_h = onnxruntime.InferenceSession(plain.SerializeToString()).run(None, {"x": x})
    session = onnxruntime.InferenceSession(serialized(unrolled(swapped)))
    found, found_h = session.run(None, {"x": x.swapaxes(0, 1)})
    np.testing.assert_allclose(found, y.transpose(2, 0, 1, 3), atol=1e-5)
    np.testing.assert_allclose(found_h, y_h.swapaxes(0, 1), atol=1e-5)


DIFFERENTIATED = [
    *(Case(name, {"direction": "bidirectional"}, ("B", "initial_h")) for name in GATES),
    Case("LSTM", {"direction": "bidirectional", "clip": 0.9}, ("B", "initial_c", "P"), ("Y", "Y_h", "Y_c")),
    Case("LSTM", {"direction": "reverse", "input_forget": 1}, outputs=("Y_c",)),
    Case("GRU", {"direction": "bidirectional", "linear_before_reset": 1}, outputs=("Y_h",)),
    Case("GRU", {"direction": "reverse", "layout": 1}),
    Case(
        "LSTM",
        {
            "layout": 1,
            "activations": ["HardSigmoid", "Affine", "LeakyRelu"],
            "activation_alpha": [0.3, 0.7, 0.2],
            "activation_beta": [0.4, 0.1],
        },
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", DIFFERENTIATED, ids=str)
def test_gradient_matches_finite_differences(case: Case) -> None:
    """In float64 along random directions, all outputs weighted at random."""
    graph = unrolled(model_of(case, np.float64))
    rng = np.random.default_rng(2)
    forward = ReferenceEvaluator(onnx.load_model_from_string(serialized(graph.clone())))
    op, (x,) = Op(graph, "gradient"), graph.inputs
    cotangents = {}
    for value in list(graph.outputs):
        dy = ir.Value(name=f"d{value.name}", shape=value.shape, type=value.type)
        graph.inputs.append(dy)
        cotangents[value] = dy
    graph.outputs.clear()
    (dx,) = gradients(op, cotangents, [x])
    assert dx is not None
    output = op.Identity(dx)
    lower(op)
    backward = ReferenceEvaluator(onnx.load_model_from_string(finish(op, {"dx": output}).complete()))
    point = rng.standard_normal([int(dim) for dim in x.shape or ()])
    feeds = {d.name or "": rng.standard_normal([int(n) for n in d.shape or ()]) for d in cotangents.values()}
    (found,) = backward.run(None, {"x": point, **feeds})
    for _ in range(3):
        step = rng.standard_normal(point.shape) * 1e-6
        ends = [forward.run(None, {"x": point + sign * step}) for sign in (1, -1)]
        measured = sum(
            np.vdot(dy, (plus - minus) / 2) for dy, plus, minus in zip(feeds.values(), *ends, strict=True)
        )
        assert abs(measured - np.vdot(found, step)) < 1e-7 * np.linalg.norm(found) * np.linalg.norm(step)


@pytest.mark.slow
@pytest.mark.parametrize("name", GATES)
def test_tensorrt_builds_the_gradient(name: str) -> None:
    """Unrolled forward and gradient, with a free batch: TensorRT's own LSTM has no gradient."""
    graph = unrolled(model_of(Case(name, {"direction": "bidirectional"}), batch="N"))
    op, (x,) = Op(graph, "gradient"), graph.inputs
    outputs = list(graph.outputs)
    graph.outputs.clear()
    (dx,) = gradients(op, {value: value for value in outputs}, [x])
    assert dx is not None
    assert tensorrt_refuses(finish(op, {"dx": dx, "y": outputs[0]}).complete()) == ""


@pytest.mark.parametrize(
    ("case", "change", "why"),
    [
        (Case("LSTM", with_inputs=("sequence_lens",)), "lengths", r"LSTM.*sequence_lens are not all 5"),
        (Case("GRU"), "steps", r"GRU.*number of steps is not fixed"),
        (Case("RNN"), "weights", r"RNN.*weights W are not constant"),
        (Case("RNN", {"activations": ["Swish"]}), "", r"activation 'Swish' is not known"),
        (Case("RNN", {"activations": ["Affine"]}), "", r"activation 'Affine' lacks a parameter"),
    ],
    ids=["lengths", "steps", "weights", "activation", "parameter"],
)
def test_what_cannot_be_unrolled_is_refused_by_name(case: Case, change: str, why: str) -> None:
    """Node, operator, reason and a way out."""
    model = model_of(case)
    if change == "lengths":
        lengths = numpy_helper.from_array(np.array([5, 4, 5], np.int32), "sequence_lens")
        model.graph.initializer[-1].CopyFrom(lengths)
    if change == "steps":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "T"
    if change == "weights":
        w = model.graph.initializer[0]
        model.graph.input.append(helper.make_tensor_value_info(w.name, w.data_type, w.dims))
        del model.graph.initializer[0]
    with pytest.raises(UnsupportedOperatorError, match=why) as refusal:
        unrolled(model)
    assert refusal.value.where == "node 'cell'"
    assert "`output_name`" in (refusal.value.hint or "")
