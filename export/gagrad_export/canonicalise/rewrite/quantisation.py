"""A quantised model in one form: weights in float, and pairs of QuantizeLinear and DequantizeLinear.

Before, any of:

- weights stored as integers behind DequantizeLinear;
- operators on quantised tensors, ``QLinearConv(q, s, z, …)``;
- operators that only move or select quantised values, ``MaxPool(q)``.

After: float weights, and ``QuantizeLinear(Conv(DequantizeLinear(q), …))``, where every QuantizeLinear feeds
DequantizeLinear alone (``quantiser_pairs`` holds the graph to that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import op_before, replace_node
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_export.emit import Op

    Array = NDArray[Any]
    Scale = tuple[ir.Value, ir.Value | None]
    """The scale and the zero point of a quantised tensor."""


@dataclass(frozen=True)
class _Layout:
    """Where an operator on quantised tensors has its inputs, each followed by scale and zero point."""

    operator: str
    """The operator on floats."""
    operands: tuple[int, ...]
    """Indices of the operands; empty for any number of operands from index 2 on."""
    output: int
    """Index of the output's scale; its zero point follows."""
    bias: int | None = None
    """Index of a bias that counts in steps of the product of the operands' scales."""

    def operands_of(self, node: ir.Node) -> Sequence[int]:
        """Return the indices of the operands."""
        return self.operands or range(2, len(node.inputs), 3)


_LAYOUTS = {
    "QLinearConv": _Layout("Conv", (0, 3), 6, bias=8),
    "QLinearMatMul": _Layout("MatMul", (0, 3), 6),
    "QLinearAdd": _Layout("Add", (0, 3), 6),
    "QLinearMul": _Layout("Mul", (0, 3), 6),
    "QLinearSigmoid": _Layout("Sigmoid", (0,), 3),
    "QLinearLeakyRelu": _Layout("LeakyRelu", (0,), 3),
    "QLinearAveragePool": _Layout("AveragePool", (0,), 3),
    "QLinearGlobalAveragePool": _Layout("GlobalAveragePool", (0,), 3),
    "QLinearConcat": _Layout("Concat", (), 0),
    "QGemm": _Layout("Gemm", (0, 3), 7, bias=6),
}
"""ONNX's two operators, and the ones that ONNX Runtime's quantisation writes."""

_MOVING = {
    *("DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice"),
    *("SpaceToDepth", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
"""Operators whose output holds elements of their first input: before scaling they mean the same as after."""


class UnfoldQuantisation(Pass):
    """Rewrites weights to float, and operators on integers to operators on floats between pairs.

    Before the conversion of opsets, which does not know ONNX Runtime's operators on integers. Raises
    UnsupportedOperatorError.
    """

    operators = tuple(_LAYOUTS)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the nodes one by one, in order: scales are followed from QuantizeLinear on."""
        modified = False
        scales: dict[ir.Value | None, Scale] = {}
        for node in list(model.graph):
            if node.op_type == "QuantizeLinear":
                scales[node.outputs[0]] = _scale(node, 1)
            elif node.op_type == "DequantizeLinear":
                modified |= _fold_weight(node)
            elif node.op_type in _LAYOUTS:
                scales |= _on_floats(node, _LAYOUTS[node.op_type])
                modified = True
            elif node.op_type in _MOVING and node.inputs and node.inputs[0] in scales:
                scales |= _moved(node, scales[node.inputs[0]])
                modified = True
        return ir.passes.PassResult(model, modified)


def _fold_weight(node: ir.Node) -> bool:
    """DequantizeLinear(weights) → the float weights; tell whether the weights are constant."""
    # The reference evaluator knows the operator from opset 19 on; the older definition means the same there.
    op = op_before(node, infer=False)
    array = evaluated(node.outputs[0], max(op.opset, 21))
    if array is not None:
        replace_node(node, [op.Identity(op.constant(array))])
    return array is not None


def _on_floats(node: ir.Node, layout: _Layout) -> dict[ir.Value | None, Scale]:
    """QLinearConv(x, w) → Q(Conv(DQ(x), w′)), and likewise; return the scale of the new quantised output."""
    if attribute(node, "channels_last", 0):
        raise refusal(node, "its channels come last")
    op = op_before(node, infer=False)
    attributes = {name: attr.value for name, attr in node.attributes.items() if name != "channels_last"}
    inputs = [_dequantised(op, node, index, layout) for index in layout.operands_of(node)]
    bias = None if layout.bias is None else optional_input(node, layout.bias)
    if bias is not None:
        inputs.append(op.constant(_bias(op, node, bias, layout)))
    (y,) = op.emit(layout.operator, inputs, attributes)
    scale = optional_input(node, layout.output)
    if scale is None:  # QGemm without one leaves its output in float
        replace_node(node, [y])
        return {}
    zero = optional_input(node, layout.output + 1)
    quantised = op.QuantizeLinear(y, scale, zero)
    replace_node(node, [quantised])
    return {quantised: (scale, zero)}


def _moved(node: ir.Node, scale: Scale) -> dict[ir.Value | None, Scale]:
    """MaxPool(q) → Q(MaxPool(DQ(q))), and likewise; return the scale of the new quantised output."""
    op = op_before(node, infer=False)
    attributes = {name: attr.value for name, attr in node.attributes.items()}
    x = op.DequantizeLinear(node.inputs[0], *scale)
    (y,) = op.emit(node.op_type, [x, *node.inputs[1:]], attributes)
    quantised = op.QuantizeLinear(y, *scale)
    replace_node(node, [quantised])
    return {quantised: scale}


def _dequantised(op: Op, node: ir.Node, index: int, layout: _Layout) -> ir.Value:
    """Return the operand at ``index`` in float; a constant is computed now."""
    q, (scale, zero) = operand(node, index), _scale(node, index + 1)
    array = evaluated(q, op.opset)
    if array is None:
        return op.DequantizeLinear(q, scale, zero)
    along = [1] * array.ndim
    along[{"Conv": 0, "Gemm": 1 - attribute(node, "transB", 0)}.get(layout.operator, -1)] = -1
    factor = _number(op, node, scale)
    offset = np.zeros(1) if zero is None else _number(op, node, zero)
    shifted = array.astype(factor.dtype) - offset.astype(factor.dtype).reshape(along)
    return op.constant(shifted * factor.reshape(along))


def _bias(op: Op, node: ir.Node, bias: ir.Value, layout: _Layout) -> Array:
    """Return the bias in float: its scale is the product of the operands' scales."""
    factor: Array = np.float32(attribute(node, "alpha", 1.0)).reshape(1)
    for index in layout.operands_of(node):
        factor = factor * _number(op, node, operand(node, index + 1)).ravel()
    whole = _number(op, node, bias)
    return whole.astype(factor.dtype) * factor


def _number(op: Op, node: ir.Node, value: ir.Value) -> Array:
    array = evaluated(value, op.opset)
    if array is None:
        raise refusal(node, f"{value.name!r} is computed from the image")
    return array


def _scale(node: ir.Node, index: int) -> Scale:
    return operand(node, index), optional_input(node, index + 1)


def optional_input(node: ir.Node, index: int) -> ir.Value | None:
    """Return input ``index`` of ``node``; None where it is left out."""
    return None if index >= len(node.inputs) else node.inputs[index]


def refusal(node: ir.Node, why: str) -> UnsupportedOperatorError:
    """Return the error for a quantised operator that cannot be differentiated."""
    return UnsupportedOperatorError(
        f"operator {node.op_type} cannot be differentiated here: {why}",
        where=f"node {node.name!r}",
        hint="quantise the model statically and in QDQ format (pairs of QuantizeLinear and DequantizeLinear "
        "around float operators), or explain the float model that it was made from",
    )
