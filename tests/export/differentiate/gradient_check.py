"""Check one operator's rule in float64: reverse mode against central differences along random directions.

⟨dy, f(x + hv) − f(x − hv)⟩ / 2h must equal ⟨vjp(dy), v⟩. In float64 with h = 1e-6 the two agree to about
1e-9 on a smooth function, so a wrong factor, axis or padding cannot hide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from gagrad_export.assemble.graph import finish
from gagrad_export.differentiate import gradients
from gagrad_export.emit import Op
from gagrad_export.lower import lower
from tests.export.reference_operators import evaluator


@dataclass(frozen=True)
class Row:
    """One line of the table: an operator, what it gets, and where its derivative is smooth.

    ``inputs`` are shapes (drawn uniformly from ``domain``), arrays (constants) or None. ``active`` are the
    indices that are differentiated; all float shapes by default. Arrays named in ``fed`` are given at run
    time, so that to the rule they are computed.
    """

    op_type: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    outputs: int = 1
    opset: int = 18
    tolerance: float = 1e-7
    step: float = 1e-6
    engine: str = "reference"
    """``onnxruntime`` where onnx's reference evaluator cannot run the operator."""
    dtype: str = "float64"
    """``float32`` for an operator that is not defined for more; then with a larger step and tolerance."""
    fed: tuple[int, ...] = ()
    distinct: bool = False
    """Whether to draw whole numbers around 0, all different, in place of ``domain``."""

    def __str__(self) -> str:
        shapes = "-".join(
            "c" if isinstance(i, np.ndarray) else "x".join(map(str, i or ())) for i in self.inputs
        )
        extra = "-".join(f"{k}={v}" for k, v in self.attributes.items())
        fed = "".join(f"-fed{i}" for i in self.fed)
        return f"{self.op_type}@{self.opset}-{shapes}-{extra}{fed}".replace(" ", "")


def linear(op_type: str, inputs: tuple[Any, ...], attributes: dict[str, Any], opset: int = 18) -> Row:
    """Return the row of a linear operator that only ONNX Runtime runs rightly, in float32.

    Differences of a linear map are exact at any step, so a step of 1 loses nothing to cancellation and
    what is left is the rounding of a few hundred float32 additions.
    """
    return Row(
        op_type,
        inputs,
        attributes,
        opset=opset,
        step=1.0,
        tolerance=1e-5,
        engine="onnxruntime",
        dtype="float32",
    )


def selecting(op_type: str, inputs: tuple[Any, ...], attributes: dict[str, Any], opset: int = 18) -> Row:
    """Return the row of an operator that selects elements, by comparing, and only ONNX Runtime runs rightly.

    Of whole numbers, all different, a step of about 0.1 changes no comparison, so that the operator is linear
    along it. What is left is the rounding of numbers below 1000 in float32, 3e-5, in relation to 0.1.
    """
    return Row(
        op_type,
        inputs,
        attributes,
        opset=opset,
        step=0.1,
        tolerance=1e-3,
        engine="onnxruntime",
        dtype="float32",
        distinct=True,
    )


def worst_error(row: Row, *, seed: int = 0, directions: int = 4) -> float:
    """Return the largest relative disagreement over random directions."""
    generator = np.random.default_rng(seed)
    values = [_draw(item, row, generator) for item in row.inputs]
    active = [i for i, item in enumerate(row.inputs) if isinstance(item, tuple)]
    forward, backward, cotangent_shapes = _build(row, values, active)
    feeds = {f"x{i}": values[i] for i in active}
    fed = {f"x{i}": values[i] for i in row.fed}
    cotangents = {
        f"dy{k}": generator.standard_normal(s).astype(row.dtype) for k, s in enumerate(cotangent_shapes)
    }
    names = [f"dx{i}" for i in active]
    found = dict(zip(names, backward.run(names, {**feeds, **fed, **cotangents}), strict=True))
    errors = []
    for _ in range(directions):
        step = {f"x{i}": generator.standard_normal(values[i].shape) * row.step for i in active}
        ends = [
            forward.run(
                None,
                {**fed, **{name: (feeds[name] + sign * step[name]).astype(row.dtype) for name in feeds}},
            )
            for sign in (1, -1)
        ]
        measured = sum(
            np.vdot(cotangents[f"dy{k}"], plus - minus) / 2
            for k, (plus, minus) in enumerate(zip(*ends, strict=True))
        )
        predicted = sum(np.vdot(found[f"dx{i}"], step[f"x{i}"]) for i in active)
        scale = row.step * sum(np.linalg.norm(found[f"dx{i}"]) for i in active) + 1e-30
        errors.append(abs(measured - predicted) / scale)
    return float(max(errors))


def gradient_at(row: Row, values: list[Any], dy: Any) -> list[Any]:
    """Return the gradients of ⟨dy, y⟩ at chosen inputs, for kinks and zeros that no random number hits."""
    active = [i for i, item in enumerate(row.inputs) if isinstance(item, tuple)]
    _, backward, _ = _build(row, values, active)
    feeds = {f"x{i}": values[i] for i in active}
    found: list[Any] = backward.run([f"dx{i}" for i in active], {**feeds, "dy0": dy})
    return found


def _draw(item: Any, row: Row, generator: np.random.Generator) -> Any:
    if item is None or isinstance(item, np.ndarray):
        return item
    if row.distinct:
        count = math.prod(item)
        return (generator.permutation(count) - count // 2).reshape(item).astype(row.dtype)
    return generator.uniform(*row.domain, size=item).astype(row.dtype)


def _build(row: Row, values: list[Any], active: list[int]) -> tuple[Any, Any, list[tuple[int, ...]]]:
    """Return evaluators of the operator and of its gradient, and the shapes of the outputs."""
    evaluators: list[Any] = []
    shapes: list[tuple[int, ...]] = []
    for with_gradient in (False, True):
        op = Op(ir.Graph([], [], nodes=[], opset_imports={"": row.opset}, name="check"))
        operands: list[Any] = []
        for i, value in enumerate(values):
            is_input = i in active or i in row.fed
            # A float32 constant stays one: the scales of Resize are float32 whatever is resized.
            kept = isinstance(value, np.ndarray) and value.dtype == np.float32
            constant = op.constant(value) if kept else value
            operands.append(_input(op, f"x{i}", value.shape, value.dtype) if is_input else constant)
        ys = list(op.emit(row.op_type, operands, row.attributes, row.outputs))
        ys = [y for y in ys if y.dtype is not None and y.dtype.is_floating_point()]
        for y in ys:
            # onnx infers no shape for a single operator that it defines as a function; those keep the shape.
            y.shape = operands[0].shape if y.shape is None else y.shape
        outputs = {f"y{k}": y for k, y in enumerate(ys)}
        if with_gradient:
            given = {f"x{i}": values[i] for i in (*active, *row.fed)}
            shapes = [y.shape for y in evaluators[0].run(None, given)]
            dys = {y: _input(op, f"dy{k}", shapes[k], row.dtype) for k, y in enumerate(ys)}
            dxs = gradients(op, dys, [operands[i] for i in active])
            outputs = {f"dx{i}": op.Identity(dx) for i, dx in zip(active, dxs, strict=True)}
            lower(op)
        evaluators.append(_open(finish(op, outputs).complete(), row.engine))
    return evaluators[0], evaluators[1], shapes


def _open(data: bytes, engine: str) -> Any:
    if engine == "onnxruntime":
        return onnxruntime.InferenceSession(data)
    return evaluator(onnx.load_model_from_string(data))


def _input(op: Op, name: str, shape: tuple[int, ...], dtype: Any) -> ir.Value:
    tensor_type = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))
    value = ir.Value(name=name, shape=ir.Shape(shape), type=tensor_type)
    op.graph.inputs.append(value)
    return value
