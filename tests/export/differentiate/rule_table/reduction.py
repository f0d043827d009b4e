"""Reductions over some and all axes."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import AWAY, IMAGE, ints

_SMOOTH = ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
"""Away from 0."""

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
    *(
        row
        for name in (*_SMOOTH, "ReduceProd")
        for row in (
            Row(name, (IMAGE, ints(1)), {"keepdims": 1}, domain=AWAY),
            Row(name, (IMAGE, ints(-1, 2)), {"keepdims": 0}, domain=AWAY),
            Row(name, (IMAGE,), {"keepdims": 0}, domain=AWAY),
            Row(name, (IMAGE,), {"noop_with_empty_axes": 1}, domain=AWAY),
        )
    ),
    *(Row(name, (IMAGE,), {"axes": [2, 3], "keepdims": 0}, opset=13, domain=AWAY) for name in _SMOOTH),
    *(
        Row(name, (IMAGE, ints(1, 2)), domain=(-2.0, -0.1))
        for name in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceProd")
    ),
    *(Row(name, (IMAGE, ints(2, 3)), opset=20) for name in ("ReduceMax", "ReduceMin")),
    *(Row(name, (IMAGE,), {"noop_with_empty_axes": 1}) for name in ("ReduceMax", "ReduceMin", "ReduceMean")),
    *(
        Row("CumSum", (IMAGE, np.array(axis, np.int64)), {"exclusive": exclusive, "reverse": reverse})
        for axis, exclusive, reverse in ((1, 0, 0), (-1, 1, 0), (2, 0, 1), (3, 1, 1))
    ),
    Row("CumSum", (IMAGE, np.array(1, np.int64)), opset=13),
]
