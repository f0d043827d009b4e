"""Operators that write updates into a copy of their data at given indices.

ScatterElements and ScatterND share their formulas: ``read`` gathers at the same indices, ``write`` is the
operator itself. Without a reduction, repeated indices have an undefined result, and an undefined gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.adjoint_gather import fixed, not_fixed
from gagrad_export.differentiate.registry import vjp
from gagrad_export.differentiate.rules.indexing import element_positions, nd_positions
from gagrad_export.emit import as_float, attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("ScatterElements", since=(11, 13, 16, 18), limits="reduction mul: constant indices, each once")
def scatter_elements(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value | None]:
    """y = data, in which y[…, indices[…, k, …], …] is updated by updates[…, k, …]  ⟹  see ``_scatter``."""
    indices, axis = operand(node, 1), attribute(node, "axis", 0)

    def read(value: ir.Value) -> ir.Value:
        return op.GatherElements(value, indices, axis=axis)

    def write(data: ir.Value, updates: ir.Value, **reduction: str) -> ir.Value:
        return op.ScatterElements(data, indices, updates, axis=axis, **reduction)

    return _scatter(op, node, dy, read, write)


@vjp("ScatterND", since=(11, 13, 16, 18), limits="reduction mul: constant indices, each once")
def scatter_nd(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value | None]:
    """y = data, in which y[indices[k]] is updated by updates[k]  ⟹  see ``_scatter``."""
    indices = operand(node, 1)

    def read(value: ir.Value) -> ir.Value:
        return op.GatherND(value, indices)

    def write(data: ir.Value, updates: ir.Value, **reduction: str) -> ir.Value:
        return op.ScatterND(data, indices, updates, **reduction)

    return _scatter(op, node, dy, read, write)


def _scatter(
    op: Op, node: ir.Node, dy: ir.Value, read: Callable[[ir.Value], ir.Value], write: Callable[..., ir.Value]
) -> list[ir.Value | None]:
    """y = data with updates u written at indices  ⟹  one formula per reduction; v′ is v read at the indices.

    none: ddata = dy, 0 where overwritten; du = dy′.   add: ddata = dy; du = dy′.
    mul, each index once: ddata = dy·u at the indices, dy elsewhere; du = (dy·data)′.
    max, min: ddata = s·[data = y], du = s′·[u = y′] with s = dy divided by the number of tied values.
    """
    data, y, updates = operand(node, 0), node.outputs[0], operand(node, 2)
    reduction = attribute(node, "reduction", "none")
    if reduction == "none":
        return [write(dy, op.expand_like(op.constant(0.0, like=dy), updates)), None, read(dy)]
    if reduction == "add":
        return [dy, None, read(dy)]
    if reduction == "mul":
        if not _is_distinct(node):
            raise not_fixed(node, "indices that repeat, or are computed, have no rule with reduction 'mul'")
        ones = op.expand_like(op.constant(1.0, like=dy), data)
        return [op.Mul(dy, write(ones, updates)), None, read(op.Mul(dy, data))]
    won = as_float(op, op.Equal(data, y), dy), as_float(op, op.Equal(updates, read(y)), dy)
    share = op.Div(dy, write(*won, reduction="add"))
    return [op.Mul(share, won[0]), None, op.Mul(read(share), won[1])]


def _is_distinct(node: ir.Node) -> bool:
    """Tell whether the indices are constants that write to each element at most once."""
    indices, shape = constant_array(node.inputs[1]), static_shape(operand(node, 0))
    if indices is None:
        return False
    if node.op_type == "ScatterND":
        positions = nd_positions(indices, 0, fixed(node, shape[: indices.shape[-1]], "an indexed axis"))
    else:
        axis = attribute(node, "axis", 0) % len(shape)
        positions = element_positions(indices, axis, fixed(node, shape, "the data"))
    return len(np.unique(positions)) == len(positions)
