"""Pooling: overlap, padding, rounding."""

from __future__ import annotations

from tests.export.gradient_check import Row
from tests.export.rule_table.operands import IMAGE

ROWS = [
    Row("GlobalAveragePool", (IMAGE,)),
    Row("AveragePool", (IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    *(
        Row(
            "AveragePool",
            (IMAGE,),
            {
                "kernel_shape": [3, 3],
                "strides": [2, 2],
                "pads": [1, 1, 1, 1],
                "count_include_pad": include,
                "ceil_mode": ceil,
            },
        )
        for include in (0, 1)
        for ceil in (0, 1)
    ),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [2, 3], "strides": [3, 2], "pads": [0, 1, 1, 0]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    Row("MaxPool", ((2, 3, 9),), {"kernel_shape": [3], "strides": [2]}),
]
