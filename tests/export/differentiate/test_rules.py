"""Every differentiation rule, in float64, against finite differences."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from gagrad_export.differentiate import registry
from gagrad_export.emit import INTERNAL, Op
from tests.export.differentiate.gradient_check import Row, worst_error
from tests.export.differentiate.rule_table import TABLE

STRAIGHT_THROUGH = {"QuantizeLinear", "DequantizeLinear"}
"""Differences see their steps and not the slope that the rules take: tests/export/test_quantisation.py."""


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_rule_matches_finite_differences(row: Row) -> None:
    """The rule's product with any direction is the operator's change along it."""
    assert worst_error(row) < row.tolerance


def test_every_rule_is_tested() -> None:
    """A rule without a row in the table cannot be registered unnoticed.

    That of an internal operator, which no evaluator knows, is tested with what it is used for.
    """
    operators = {op_type for domain, op_type, _ in registry.registered_rules() if domain != INTERNAL}
    assert operators - STRAIGHT_THROUGH == {row.op_type for row in TABLE}


@pytest.mark.parametrize("factor", [-1.0, 1.01])
def test_the_check_catches_a_wrong_rule(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """A sign or one per cent too much is found: the checker itself can fail."""

    def wrong(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
        y = node.outputs[0]
        return op.Mul(op.Mul(dy, factor), op.Mul(y, op.Sub(1.0, y)))

    monkeypatch.setitem(registry._rules, ("", "Sigmoid", 13), registry.Entry(wrong, elementwise=True))
    assert worst_error(Row("Sigmoid", ((2, 3),))) > 1e-3


def test_a_second_rule_for_one_operator_is_refused() -> None:
    """Two rules for one operator version would make the order of imports decide."""
    with pytest.raises(registry.DuplicateRuleError):
        registry.vjp("Relu", since=14)(lambda op, node, dy: dy)
    with pytest.raises(registry.DuplicateRuleError):
        registry.zero_derivative("Relu")
