"""The table of derivatives: ``(domain, operator, since_version) → rule``.

A rule is the vector-Jacobian product of one operator, written with standard ONNX operators:

    @vjp("Sigmoid", since=(6, 13))
    def sigmoid(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value: ...

It returns the contribution to the cotangent of each input, in order; None or an omitted tail means that
there is no derivative with respect to that input. It may read the node's outputs. Contributions have the
shape that the arithmetic gives: the walk sums them down to the input's shape where it was broadcast.

The versions are exact, not "from here on": when a new opset changes an operator, its meaning is looked at
before a gradient is computed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import onnx

if TYPE_CHECKING:
    import onnx_ir as ir

Contribution = "ir.Value | None"
Rule = Callable[..., "ir.Value | Sequence[ir.Value | None]"]
RuleT = TypeVar("RuleT", bound=Rule)


@dataclass(frozen=True)
class Entry:
    """A rule, and whether it takes a cotangent that still has to be broadcast to the output's shape."""

    rule: Rule
    elementwise: bool


class DuplicateRuleError(Exception):
    """Two rules claim the same operator version: a programming mistake."""


_rules: dict[tuple[str, str, int], Entry] = {}
_zero: set[tuple[str, str]] = set()


def vjp(
    op_type: str, *, since: int | tuple[int, ...], domain: str = "", elementwise: bool = False
) -> Callable[[RuleT], RuleT]:
    """Register the decorated rule for the operator's versions ``since``.

    ``elementwise`` rules multiply the cotangent with something of the output's shape, so that a cotangent
    that is constant along an axis (size 1 there) needs no expansion before them.
    """
    versions = (since,) if isinstance(since, int) else since

    def register(rule: RuleT) -> RuleT:
        for version in versions:
            key = (domain, op_type, version)
            if key in _rules or key[:2] in _zero:
                raise DuplicateRuleError(f"there is a rule for {key} already")
            _rules[key] = Entry(rule, elementwise)
        return rule

    return register


def zero_derivative(*op_types: str, domain: str = "") -> None:
    """Declare operators whose derivative is zero wherever it exists (steps, comparisons, shapes)."""
    for op_type in op_types:
        if (domain, op_type) in _zero or any(key[:2] == (domain, op_type) for key in _rules):
            raise DuplicateRuleError(f"there is a rule for {op_type} already")
        _zero.add((domain, op_type))


def since_version(node: ir.Node, opset: int) -> int:
    """Return the version of the operator's definition that ``node`` follows in ``opset``; 0 if unknown."""
    try:
        return int(onnx.defs.get_schema(node.op_type, opset, node.domain).since_version)
    except onnx.defs.SchemaError:
        return 0


def find_rule(node: ir.Node, opset: int) -> Entry | None:
    """Return the rule for ``node``, or None when there is none for its operator's version."""
    return _rules.get((node.domain, node.op_type, since_version(node, opset)))


def has_zero_derivative(node: ir.Node) -> bool:
    """Tell whether no gradient flows through ``node`` by declaration."""
    return (node.domain, node.op_type) in _zero


def registered_rules() -> dict[tuple[str, str, int], Entry]:
    """Return the table, for documentation and for the test that every rule is tested."""
    return dict(_rules)


def zero_operators() -> set[tuple[str, str]]:
    """Return the operators declared to have a zero derivative."""
    return set(_zero)
