"""Bring a quantised model to one form: weights in float, and pairs of QuantizeLinear and DequantizeLinear.

Before, any of:

- weights stored as integers behind DequantizeLinear;
- operators on quantised tensors, ``QLinearConv(q, s, z, …)``;
- operators that only move or select quantised values, ``MaxPool(q)``.

After: float weights, and ``QuantizeLinear(Conv(DequantizeLinear(q), …))``, where every QuantizeLinear feeds
DequantizeLinear alone. That is the form in which the rules and ``lower`` take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import Site
from gagrad_export.emit import attribute, constant_array, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Scale = tuple[ir.Value, ir.Value | None]
    """The scale and the zero point of a quantised tensor."""


@dataclass(frozen=True)
class _Layout:
    """Where an operator on quantised tensors has its inputs, each followed by scale and zero point."""

    operator: str
    """What it is on floats."""
    operands: tuple[int, ...]
    """Empty for any number of them from index 2 on."""
    output: int
    """Index of the output's scale; its zero point follows."""
    bias: int | None = None
    """Index of a bias that counts in steps of the product of the operands' scales."""

    def operands_of(self, node: ir.Node) -> Sequence[int]:
        """Return the indices of the operands."""
        return self.operands or range(2, len(node.inputs), 3)


OPERATORS = {
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
"""ONNX's two, and those that ONNX Runtime's quantisation writes."""

_MOVING = {
    *("DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice"),
    *("SpaceToDepth", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
"""Their output holds elements of their first input, so they mean the same before and after scaling."""


def unfold_quantisation(graph: ir.Graph) -> None:
    """Rewrite weights to float, and operators on integers to float between pairs.

    Types and shapes need not be known. Raises UnsupportedOperatorError.
    """
    scales: dict[ir.Value | None, Scale] = {}
    for node in list(graph):
        if node.op_type == "QuantizeLinear":
            scales[node.outputs[0]] = _scale(node, 1)
        elif node.op_type == "DequantizeLinear":
            _fold_weight(Site(graph, node, "float"))
        elif node.op_type in OPERATORS:
            layout = OPERATORS[node.op_type]
            scales |= _on_floats(Site(graph, node, "float"), layout)
        elif node.op_type in _MOVING and node.inputs and node.inputs[0] in scales:
            scales |= _moved(Site(graph, node, "float"), scales[node.inputs[0]])


def refuse_other_integers(graph: ir.Graph) -> None:
    """Raise UnsupportedOperatorError for quantised operators that stay as they are."""
    for node in graph:
        foreign = node.domain == "com.microsoft" and ("Q" in node.op_type or "Integer" in node.op_type)
        if foreign or node.op_type in ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"):
            raise _refusal(node, "it computes with integers in a way that has no known derivative")


def count_quantisers(graph: ir.Graph) -> int:
    """Return how many pairs a canonical graph has. Raises UnsupportedOperatorError for anything else."""
    count = 0
    for node in graph:
        if node.op_type == "DequantizeLinear":
            _require_pair(node)
        if node.op_type == "QuantizeLinear":
            _require_fixed_steps(node)
            count += 1
    return count


def _require_pair(node: ir.Node) -> None:
    source = operand(node, 0).producer()
    if source is None or source.op_type != "QuantizeLinear":
        raise _refusal(node, "what it reads is not made by QuantizeLinear")
    ours, theirs = _steps(node), _steps(source)
    if any(not np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True)):
        raise _refusal(node, "its scale or zero point is not that of the QuantizeLinear before it")


def _require_fixed_steps(node: ir.Node) -> None:
    q = node.outputs[0]
    readers = {use.node.op_type for use in q.uses()} - {"DequantizeLinear"}
    if readers or q.is_graph_output():
        raise _refusal(node, f"its integers are read by {', '.join(sorted(readers)) or 'the output'}")
    _steps(node)
    if q.dtype is None or not q.dtype.is_integer():
        raise _refusal(node, f"{q.dtype} does not have steps of one size")


def _steps(node: ir.Node) -> tuple[Array, Array]:
    """Return the scale and the zero point of a node of a pair."""
    scale, zero = constant_array(node.inputs[1]), constant_array(_input(node, 2))
    if scale is None or (zero is None and _input(node, 2) is not None):
        raise _refusal(node, "its scale or zero point is computed")
    return scale.ravel(), np.zeros(scale.size) if zero is None else zero.ravel()


def _fold_weight(site: Site) -> None:
    """DequantizeLinear(weights) → the float weights."""
    # The reference evaluator knows the operator from opset 19 on; what was valid before means the same there.
    array = evaluated(site.node.outputs[0], max(site.opset, 21))
    if array is not None:
        site.replace([site.constant(array)])


def _on_floats(site: Site, layout: _Layout) -> dict[ir.Value | None, Scale]:
    """QLinearConv(x, w) → Q(Conv(DQ(x), w′)), and likewise; return the scale of what is read in its place."""
    node = site.node
    if attribute(node, "channels_last", 0):
        raise _refusal(node, "its channels come last")
    attributes = {name: attr.value for name, attr in node.attributes.items() if name != "channels_last"}
    inputs = [_dequantised(site, index, layout) for index in layout.operands_of(node)]
    bias = _input(node, layout.bias)
    if bias is not None:
        inputs.append(site.constant(_bias(site, bias, layout)))
    y, scale = site.emit(layout.operator, inputs, attributes), _input(node, layout.output)
    if scale is None:  # QGemm without one leaves its output in float
        site.replace([y])
        return {}
    zero = _input(node, layout.output + 1)
    return {site.replace([site.emit("QuantizeLinear", [y, scale, zero])])[0]: (scale, zero)}


def _moved(site: Site, scale: Scale) -> dict[ir.Value | None, Scale]:
    """MaxPool(q) → Q(MaxPool(DQ(q))), and likewise; return the scale of what is read in its place."""
    node = site.node
    attributes = {name: attr.value for name, attr in node.attributes.items()}
    x = site.emit("DequantizeLinear", [node.inputs[0], *scale])
    y = site.emit(node.op_type, [x, *node.inputs[1:]], attributes)
    return {site.replace([site.emit("QuantizeLinear", [y, *scale])])[0]: scale}


def _dequantised(site: Site, index: int, layout: _Layout) -> ir.Value:
    """Return the operand at ``index`` in float; a constant is computed now."""
    node = site.node
    q, (scale, zero) = operand(node, index), _scale(node, index + 1)
    array = evaluated(q, site.opset)
    if array is None:
        return site.emit("DequantizeLinear", [q, scale, zero])
    along = [1] * array.ndim
    along[{"Conv": 0, "Gemm": 1 - attribute(node, "transB", 0)}.get(layout.operator, -1)] = -1
    factor = _number(site, scale)
    offset = np.zeros(1) if zero is None else _number(site, zero)
    shifted = array.astype(factor.dtype) - offset.astype(factor.dtype).reshape(along)
    return site.constant(shifted * factor.reshape(along))


def _bias(site: Site, bias: ir.Value, layout: _Layout) -> Array:
    """Return the bias in float: its scale is the product of the operands'."""
    factor: Array = np.float32(attribute(site.node, "alpha", 1.0)).reshape(1)
    for index in layout.operands_of(site.node):
        factor = factor * _number(site, operand(site.node, index + 1)).ravel()
    whole = _number(site, bias)
    return whole.astype(factor.dtype) * factor


def _number(site: Site, value: ir.Value) -> Array:
    array = evaluated(value, site.opset)
    if array is None:
        raise _refusal(site.node, f"{value.name!r} is computed from the image")
    return array


def _scale(node: ir.Node, index: int) -> Scale:
    return operand(node, index), _input(node, index + 1)


def _input(node: ir.Node, index: int | None) -> ir.Value | None:
    return None if index is None or index >= len(node.inputs) else node.inputs[index]


def _refusal(node: ir.Node, why: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(
        f"operator {node.op_type} cannot be differentiated here: {why}",
        where=f"node {node.name!r}",
        hint="quantise the model statically and in QDQ format (pairs of QuantizeLinear and DequantizeLinear "
        "around float operators), or explain the float model that it was made from",
    )
