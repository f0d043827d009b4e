"""Reductions over some and all axes."""

from __future__ import annotations

from tests.export.gradient_check import Row
from tests.export.rule_table.operands import AWAY, IMAGE, ints

ROWS = [
    Row("ReduceMean", (IMAGE, ints(2, 3)), {"keepdims": 1}),
    Row("ReduceMean", (IMAGE, ints(-1)), {"keepdims": 0}),
    Row("ReduceMean", (IMAGE,), {"keepdims": 0}),
    Row("ReduceMean", (IMAGE,), {"axes": [2, 3], "keepdims": 0}, opset=13),
    Row("ReduceSum", (IMAGE, ints(1, 3)), {"keepdims": 0}),
    Row("ReduceSum", (IMAGE, ints(1)), {"keepdims": 1}),
    Row("ReduceMax", (IMAGE, ints(2, 3)), {"keepdims": 0}),
    Row("ReduceMax", (IMAGE, ints(-1)), {"keepdims": 1}),
    Row("ReduceMax", (IMAGE,), {"axes": [2, 3], "keepdims": 0}, opset=13),
    Row("ReduceMin", (IMAGE, ints(1, 3)), {"keepdims": 0}),
    Row("ReduceL2", (IMAGE, ints(1)), {"keepdims": 1}, domain=AWAY),
    Row("ReduceL2", (IMAGE, ints(2, 3)), {"keepdims": 0}, domain=AWAY),
]
