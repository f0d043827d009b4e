"""The table of derivatives: ``(domain, operator, since_version) → rule``.

A rule is the vector-Jacobian product of one operator, written with standard ONNX operators:

    @vjp("Sigmoid", since=(6, 13))
    def sigmoid(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value: ...

A rule returns the contribution to the cotangent of each input, in the order of the inputs; None, or a list
that ends early, means that there is no derivative with respect to that input. A rule may read the node's
outputs. A contribution may have the broadcast shape: the walk sums it down to the input's shape.

A rule holds for exactly the listed versions, not for later ones: when a new opset changes an operator,
somebody reads the new definition before a gradient is computed for it.
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
    """A row of the table: a rule and what the walk and the documentation need to know about it."""

    rule: Rule
    elementwise: bool
    """The rule accepts a cotangent that has size 1 along axes where it is constant."""
    limits: str = ""
    """What the rule refuses, in words for docs/operators.md."""


class DuplicateRuleError(Exception):
    """Two rules are registered for the same operator version: a programming mistake."""


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

    An ``elementwise`` rule multiplies the cotangent by a tensor of the output's shape, so a cotangent that
    is constant along an axis (size 1 there) need not be expanded first. ``limits`` says, for
    docs/operators.md, which nodes the rule refuses.
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
    """Declare operators that have no rule; ``why`` appears in the error message and in docs/operators.md."""
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
    """Tell whether the operator of ``node`` is declared to have a zero derivative."""
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
