"""The reverse walk: from the cotangent of the outputs to the gradient at any tensor of the graph.

Only the nodes that the requested gradients need are built. Weights do not depend on the requested tensors,
so no weight gradient is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.differentiate import rules  # noqa: F401 - importing registers them
from gagrad_export.differentiate.registry import (
    find_rule,
    has_zero_derivative,
    refused_operators,
    registered_rules,
    since_version,
)
from gagrad_export.emit import Op, static_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def gradients(
    op: Op, cotangents: Mapping[ir.Value, ir.Value], wrt: Sequence[ir.Value]
) -> list[ir.Value | None]:
    """Append ``Σ_y ⟨cotangents[y], ∂y/∂x⟩`` to the graph for each x in ``wrt`` and return these gradients.

    ``cotangents`` maps each output value to its cotangent, of the same shape. The gradient is None for an x
    on which no output depends. Raises UnsupportedOperatorError.
    """
    nodes = list(op.graph)
    active = _active_values(nodes, wrt)
    pending: dict[ir.Value, list[ir.Value]] = {y: [dy] for y, dy in cotangents.items() if y in active}
    found: dict[ir.Value, ir.Value] = {}
    for node in reversed(nodes):
        for value in node.outputs:
            if value in wrt and value in pending:
                found[value] = _total(op, pending[value])
        if not any(value in active for value in node.inputs if value is not None):
            continue
        arrived = [pending.pop(value, None) for value in node.outputs]
        if not any(arrived):
            continue
        totals = [None if terms is None else _total(op, terms) for terms in arrived]
        for x, dx in _contributions(op, node, totals, active):
            pending.setdefault(x, []).append(unbroadcast(op, dx, x))
    for x in wrt:
        if x not in found and x in pending:
            found[x] = _total(op, pending[x])
    return [None if x not in found else _full(op, found[x], x) for x in wrt]


def unbroadcast(op: Op, dx: ir.Value, x: ir.Value) -> ir.Value:
    """Return ``dx`` summed over the axes along which ``x`` was broadcast, so that it has the shape of ``x``.

    Broadcasting copies, and the adjoint of a copy is a sum. An axis of size 1 in ``dx`` that is larger in
    ``x`` stays at size 1: the cotangent is constant along that axis and is expanded only where a rule needs
    the full shape.
    """
    have, want = static_shape(dx), static_shape(x)
    extra = len(have) - len(want)
    axes = [i for i, size in enumerate(want, start=extra) if size == 1 and have[i] != 1]
    if axes:
        dx = op.ReduceSum(dx, axes, keepdims=1)
    return op.ReduceSum(dx, list(range(extra)), keepdims=0) if extra > 0 else dx


def _active_values(nodes: Iterable[ir.Node], wrt: Sequence[ir.Value]) -> set[ir.Value]:
    """Return the values that depend on ``wrt`` through differentiable operators."""
    active = set(wrt)
    for node in nodes:
        if any(value in active for value in node.inputs) and not has_zero_derivative(node):
            active.update(value for value in node.outputs if _is_differentiable(value))
    return active


def _is_differentiable(value: ir.Value) -> bool:
    """Tell whether ``value`` is floating-point, or the output of QuantizeLinear, which stands for floats."""
    producer = value.producer()
    quantised = producer is not None and producer.op_type == "QuantizeLinear"
    return quantised or value.dtype is None or value.dtype.is_floating_point()


def _contributions(
    op: Op, node: ir.Node, dys: list[ir.Value | None], active: set[ir.Value]
) -> Iterable[tuple[ir.Value, ir.Value]]:
    """Yield (input, contribution to its cotangent) for each active input of ``node``."""
    entry = find_rule(node, op.opset)
    if entry is None:
        raise _no_rule(node, op.opset)
    if not entry.elementwise:
        dys = [dy and _full(op, dy, y) for dy, y in zip(dys, node.outputs, strict=True)]
    result = entry.rule(op, node, *dys)
    parts = [result] if isinstance(result, ir.Value) else list(result)
    for index, x in enumerate(node.inputs):
        if x is None or x not in active:
            continue
        part = parts[index] if index < len(parts) else None
        if part is None:
            raise _no_rule(node, op.opset, f" with respect to its input {index} ({x.name})")
        yield x, part


def _total(op: Op, terms: list[ir.Value]) -> ir.Value:
    """Return the sum of the contributions from all uses of a value; ``terms`` is replaced by that sum."""
    while len(terms) > 1:
        terms[:2] = [op.Add(terms[0], terms[1])]
    return terms[0]


def _full(op: Op, dy: ir.Value, y: ir.Value) -> ir.Value:
    """Return ``dy`` expanded to the shape of ``y``; ``dy`` has size 1 along axes where it is constant."""
    lazy = any(have == 1 != want for have, want in zip(static_shape(dy), static_shape(y), strict=True))
    return op.expand_like(dy, y) if lazy else dy


def _no_rule(node: ir.Node, opset: int, detail: str = "") -> UnsupportedOperatorError:
    version = since_version(node, opset)
    others = [key[2] for key in registered_rules() if key[:2] == (node.domain, node.op_type)]
    name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    why = refused_operators().get((node.domain, node.op_type))
    return UnsupportedOperatorError(
        f"operator {name} (version {version or 'unknown'}) has no differentiation rule{detail}"
        + (f"; there are rules for its versions {sorted(others)}" if others else "")
        + (f": {why}" if why else ""),
        where=f"node {node.name!r}",
        hint="explain an output in front of it with `output_name`"
        + ("; or export the model with an older opset" if others and version > max(others) else "")
        + ("" if why else "; or add a rule, one short function (CONTRIBUTING.md shows how)"),
    )
