"""Operators that give elements another shape, join or repeat them."""

from __future__ import annotations

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import IMAGE, ints

ROWS = [
    Row("Reshape", (IMAGE, ints(2, -1))),
    Row("Reshape", (IMAGE, ints(0, 3, 42))),
    Row("Reshape", (IMAGE, ints(2, 3, 42)), {"allowzero": 1}),
    Row("Reshape", (IMAGE, ints(2, -1)), opset=25),
    Row("Flatten", (IMAGE,), {"axis": 2}),
    Row("Flatten", (IMAGE,), {"axis": 0}),
    Row("Squeeze", ((2, 1, 3, 1), ints(1, 3))),
    Row("Squeeze", ((2, 1, 3, 1),), opset=24),
    Row("Unsqueeze", ((2, 3), ints(0, 2))),
    Row("Transpose", (IMAGE,), {"perm": [0, 2, 3, 1]}),
    Row("Transpose", ((2, 3, 4),), opset=23),
    Row("Expand", ((3, 1), ints(2, 3, 4))),
    Row("Expand", ((3, 1), ints(1, 3, 4)), fed=(1,)),
    Row("Concat", ((2, 3), (2, 1), (2, 4)), {"axis": -1}),
    Row("Split", ((2, 6),), {"axis": 1, "num_outputs": 3}, outputs=3),
    Row("Split", ((2, 6),), {"axis": 1}, outputs=2, opset=13),
    Row("Split", ((2, 6), ints(1, 2, 3)), {"axis": -1}, outputs=3),
    Row("Tile", ((2, 3, 1), ints(1, 2, 4))),
    Row("Tile", ((2, 1, 3), ints(3, 2, 1))),
    Row("Tile", ((2, 1, 3), ints(1, 5, 1)), fed=(1,)),
]
