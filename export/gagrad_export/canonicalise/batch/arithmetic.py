"""Elementwise operators and products: every operand has the batch on the matching axis, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.batch.registry import Placed, carries, common_place
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.batch.values import Batch


@carries(
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike"),
    *("Ceil", "Celu", "Clip", "Cos", "Cosh", "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp"),
    *("Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log"),
    *("Mish", "Neg", "Not", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Shrink"),
    *("Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh"),
    "ThresholdedRelu",
)
def one_input(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Elementwise in the first input; the others are parameters."""
    return None if placed[0] is None or any(placed[1:]) else [placed[0]] * len(node.outputs)


@carries(
    *("Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater"),
    *("GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu"),
    *("Pow", "Sub", "Sum", "Where", "Xor"),
)
def broadcasting(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Elementwise in all inputs: the batch lies on the same axis, counted from the last, in each."""
    place = common_place(batch, node, placed)
    return None if place is None else [place]


@carries("MatMul")
def matmul(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """``[…, m, k] · […, k, n]``: the batch may be m, n, or an axis in front, and never k."""
    left, right = placed[0], placed[1]
    ranks = [len(shape_of(value)) for value in node.inputs]
    from_end = [place and place.axis - rank for place, rank in zip(placed, ranks, strict=True)]
    if from_end[0] == -1 or from_end[1] == (-2 if ranks[1] > 1 else -1):
        return None
    rank = len(shape_of(node.outputs[0]))
    if left is not None and right is None and from_end[0] == -2:
        return [left.at(rank - 2 if ranks[1] > 1 else rank - 1)]
    if right is not None and left is None and from_end[1] == -1:
        return [right.at(rank - 1)]
    if min(ranks) == 1:
        return [left] if left is not None and ranks[1] == 1 else None
    if from_end[0] == -2 or from_end[1] == -1:
        return None
    place = common_place(batch, node, placed)
    return None if place is None else [place]


@carries("Gemm")
def gemm(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """``A·B + C``: the batch is the rows of A and of the result."""
    rows = 1 if attribute(node, "transA", 0) else 0
    a = placed[0]
    if a is None or a.axis != rows or placed[1] is not None:
        return None
    place = a.at(0)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        return [place]
    shape, given = shape_of(bias), placed[2]
    if given is not None:
        return [place] if given == place and len(shape) == 2 else None
    if len(shape) == 2 and shape[0] != 1:
        node.replace_input_with(2, batch.spread(bias, place))
    return [place]


@carries("Einsum")
def einsum(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Find the label of the batch, the same in the inputs that depend on the image and in the result.

    An input that does not depend on the image and has one row loses that axis: ``bqc,bchw->bqhw`` becomes
    ``qc,bchw->bqhw``. With 1 against N the equation would still run, but its result has 1 row for all that
    shape inference knows.
    """
    terms, _, result = str(attribute(node, "equation")).replace(" ", "").partition("->")
    labels = terms.split(",")
    found = {(term[p.axis], p.at(0)) for term, p in zip(labels, placed, strict=True) if p is not None}
    ((letter, place), *others) = found
    if others or letter not in result or "." in terms:
        return None
    for index, (term, part) in enumerate(zip(labels, placed, strict=True)):
        if part is not None or letter not in term:
            continue
        value = operand(node, index)
        axis = term.index(letter)
        rest = [*shape_of(value)[:axis], *shape_of(value)[axis + 1 :]]
        if shape_of(value)[axis] == 1 and rest:
            node.replace_input_with(index, batch.reshaped(value, rest, rest))
            labels[index] = term.replace(letter, "")
        else:
            node.replace_input_with(index, batch.spread(value, place.at(axis)))
    node.attributes["equation"] = ir.AttrString("equation", f"{','.join(labels)}->{result}")
    return [place.at(result.index(letter))]
