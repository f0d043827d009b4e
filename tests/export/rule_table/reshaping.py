"""Operators that move, repeat or drop elements."""

from __future__ import annotations

from tests.export.gradient_check import Row
from tests.export.rule_table.operands import IMAGE, ints

ROWS = [
    Row("Reshape", (IMAGE, ints(2, -1))),
    Row("Reshape", (IMAGE, ints(0, 3, 42))),
    Row("Flatten", (IMAGE,), {"axis": 2}),
    Row("Squeeze", ((2, 1, 3, 1), ints(1, 3))),
    Row("Unsqueeze", ((2, 3), ints(0, 2))),
    Row("Transpose", (IMAGE,), {"perm": [0, 2, 3, 1]}),
    Row("Transpose", ((2, 3, 4),)),
    Row("Expand", ((3, 1), ints(2, 3, 4))),
    Row("Concat", ((2, 3), (2, 1), (2, 4)), {"axis": -1}),
    Row("Split", ((2, 6),), {"axis": 1, "num_outputs": 3}, outputs=3),
    Row("Split", ((2, 6), ints(1, 2, 3)), {"axis": -1}, outputs=3),
    Row("Slice", (IMAGE, ints(1, 2), ints(5, 6), ints(2, 3))),
    Row("Slice", (IMAGE, ints(-4), ints(2**31), ints(-1), ints(2))),
    Row("Slice", (IMAGE, ints(0, 1), ints(6, 7), ints(2, 3), ints(3, 2))),
    Row("Slice", (IMAGE, ints(-1), ints(-(2**31)), ints(3), ints(-2))),
    Row("Slice", (IMAGE, ints(4), ints(0), ints(2), ints(-1))),
    Row("Pad", (IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 0))),
    Row("Pad", (IMAGE, ints(0, 0, -1, 2, 0, 0, 1, -2)), engine="onnxruntime"),
    Row("Pad", (IMAGE, ints(1, 2), None, ints(3))),
]
