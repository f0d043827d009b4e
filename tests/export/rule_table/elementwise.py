"""Arithmetic and elementary functions."""

from __future__ import annotations

import numpy as np

from tests.export.gradient_check import Row
from tests.export.rule_table.operands import AWAY, IMAGE


def _binary(name: str, domain: tuple[float, float] = (0.5, 2.0)) -> list[Row]:
    shapes = [((2, 3), (2, 3)), (IMAGE, (1, 3, 1, 1)), ((3, 1), (2, 1, 4)), ((2, 3), ())]
    return [Row(name, pair, domain=domain) for pair in shapes]


ROWS = [
    *(row for name in ("Add", "Sub", "Mul", "Div") for row in _binary(name)),
    Row("Pow", (IMAGE, np.array(3.0)), domain=AWAY),
    Row("Pow", (IMAGE, np.array(0.5)), domain=AWAY),
    Row("Sum", ((2, 3), (1, 3), (2, 1))),
    Row("Identity", (IMAGE,)),
    Row("Dropout", (IMAGE,)),
    Row("Cast", (IMAGE,), {"to": 11}),
    Row("Neg", (IMAGE,)),
    Row("Abs", (IMAGE,), domain=AWAY),
    Row("Abs", (IMAGE,), domain=(-2.0, -0.1)),
    Row("Reciprocal", (IMAGE,), domain=AWAY),
    Row("Sqrt", (IMAGE,), domain=AWAY),
    Row("Exp", (IMAGE,)),
    Row("Log", (IMAGE,), domain=AWAY),
]
