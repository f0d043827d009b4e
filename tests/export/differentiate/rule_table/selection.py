"""Operators that take each element from one of their operands; random operands do not tie."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import IMAGE

_MASK = np.random.default_rng(3).random((3, 6, 7)) < 0.5

ROWS = [
    Row("Where", (_MASK, IMAGE, IMAGE)),
    Row("Where", (_MASK, IMAGE, np.array(-1.5))),
    Row("Where", (_MASK, np.array(-1.5), IMAGE)),
    Row("Where", (_MASK[:, :1], (2, 1, 6, 7), (1, 3, 1, 1))),
    Row("OneHot", (np.array([[1, 2]]), np.array(3), (2,))),
    # An index outside the depth, 7, is hot nowhere.
    *(Row("OneHot", (np.array([2, 0, -1, 7]), np.array(4), (2,)), {"axis": axis}) for axis in (-1, 0)),
    *(
        row
        for name in ("Max", "Min")
        for row in (
            Row(name, (IMAGE,)),
            Row(name, (IMAGE, IMAGE)),
            Row(name, (IMAGE, np.array(0.3))),
            Row(name, (IMAGE, (3, 1, 1), (2, 1, 6, 7), ())),
        )
    ),
]
