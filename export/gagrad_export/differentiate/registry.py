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
    """A rule, whether it takes a cotangent not yet broadcast to the shape of the output, and its limits."""

    rule: Rule
    elementwise: bool
    limits: str = ""


class DuplicateRuleError(Exception):
    """Two rules claim the same operator version: a programming mistake."""


_rules: dict[tuple[str, str, int], Entry] = {}
_zero: set[tuple[str, str]] = set()
_refused: dict[tuple[str, str], str] = {}


def vjp(
    op_type: str,
    *,
    since: int | tuple[int, ...],
    domain: str = "",
    elementwise: bool = False,
    limits: str = "",
) -> Callable[[RuleT], RuleT]:
    """Register the decorated rule for the operator's versions ``since``.

    ``elementwise`` rules multiply the cotangent with something of the output's shape, so that a cotangent
    that is constant along an axis (size 1 there) needs no expansion before them. ``limits`` says, for
    docs/operators.md, what the rule refuses.
    """
    versions = (since,) if isinstance(since, int) else since

    def register(rule: RuleT) -> RuleT:
        for version in versions:
            key = (domain, op_type, version)
            if key in _rules or key[:2] in _zero or key[:2] in _refused:
                raise DuplicateRuleError(f"there is a rule for {key} already")
            _rules[key] = Entry(rule, elementwise, limits)
        return rule

    return register


def zero_derivative(*op_types: str, domain: str = "") -> None:
    """Declare operators whose derivative is zero wherever it exists (steps, comparisons, shapes)."""
    for op_type in op_types:
        _require_unclaimed(domain, op_type)
        _zero.add((domain, op_type))


def refuse(*op_types: str, why: str, domain: str = "") -> None:
    """Say why there is no rule for operators: to the user whose model has one, and in docs/operators.md."""
    for op_type in op_types:
        _require_unclaimed(domain, op_type)
        _refused[domain, op_type] = why


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


def refused_operators() -> dict[tuple[str, str], str]:
    """Return the operators that are refused, each with the reason."""
    return dict(_refused)


def _require_unclaimed(domain: str, op_type: str) -> None:
    key = (domain, op_type)
    if key in _zero or key in _refused or any(rule[:2] == key for rule in _rules):
        raise DuplicateRuleError(f"there is a rule for {op_type} already")
