"""Trigonometric and hyperbolic functions, inside their domains."""

from __future__ import annotations

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import IMAGE

_INSIDE = (-0.9, 0.9)

ROWS = [
    Row(name, (IMAGE,), domain=domain, opset=opset)
    for opset in (18, 22)
    for name, domain in (
        *((name, (-2.0, 2.0)) for name in ("Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh")),
        *((name, _INSIDE) for name in ("Tan", "Asin", "Acos", "Atanh")),
        ("Acosh", (1.1, 3.0)),
    )
]
