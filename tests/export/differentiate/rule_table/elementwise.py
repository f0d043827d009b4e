"""Arithmetic and elementary functions."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import AWAY, IMAGE


def _binary(name: str, domain: tuple[float, float] = (0.5, 2.0)) -> list[Row]:
    shapes = [((2, 3), (2, 3)), (IMAGE, (1, 3, 1, 1)), ((3, 1), (2, 1, 4)), ((2, 3), ())]
    return [Row(name, pair, domain=domain) for pair in shapes]


ROWS = [
    *(row for name in ("Add", "Sub", "Mul", "Div") for row in _binary(name)),
    Row("Pow", (IMAGE, np.array(3.0)), domain=AWAY),
    Row("Pow", (IMAGE, np.array(0.5)), domain=AWAY),
    Row("Pow", (IMAGE, np.array(2.0))),
    Row("Pow", (IMAGE, np.array(3, np.int64))),
    Row("Pow", (IMAGE, np.array([0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 4.0])), domain=AWAY),
    Row("Pow", (np.array(1.7), IMAGE)),
    *_binary("Pow"),
    Row("Mod", (IMAGE, np.array(0.7)), {"fmod": 1}),
    Row("Mod", (IMAGE, np.array(-0.7)), {"fmod": 1}),
    Row("Mod", ((2, 3, 4), (3, 1)), {"fmod": 1}, domain=AWAY),
    Row("Mean", (IMAGE,)),
    Row("Mean", ((2, 3), (1, 3), (2, 1))),
    Row("Sum", ((2, 3), (1, 3), (2, 1))),
    Row("Identity", (IMAGE,)),
    Row("Dropout", (IMAGE,)),
    Row("Cast", (IMAGE,), {"to": 11}),
    *(Row("CastLike", (IMAGE, np.array(1.0)), opset=opset) for opset in (18, 19, 21, 23, 24, 25)),
    Row("CastLike", (IMAGE, (2, 3))),
    Row("Neg", (IMAGE,)),
    Row("Abs", (IMAGE,), domain=AWAY),
    Row("Abs", (IMAGE,), domain=(-2.0, -0.1)),
    Row("Reciprocal", (IMAGE,), domain=AWAY),
    Row("Sqrt", (IMAGE,), domain=AWAY),
    Row("Exp", (IMAGE,)),
    Row("Log", (IMAGE,), domain=AWAY),
]
