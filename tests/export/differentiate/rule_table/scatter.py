"""Scattering, with and without a reduction."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import ints

_LINES = np.array([[0, -1, 2], [3, 1, 0]])
_REPEATED = np.array([[0, 0, 2], [3, 1, 3]])
_POINTS = np.array([[0, 1], [-1, 2]])


def _rows(op_type: str, inputs: tuple[object, ...], **attributes: object) -> list[Row]:
    reductions = ("none", "add", "mul", "max", "min")
    return [Row(op_type, inputs, {"reduction": name, **attributes}) for name in reductions]


ROWS = [
    *_rows("ScatterElements", ((2, 4), _LINES, (2, 3)), axis=1),
    *_rows("ScatterElements", ((4, 3), _LINES, (2, 3)), axis=-2),
    *_rows("ScatterND", ((3, 4), _POINTS, (2,))),
    *_rows("ScatterND", ((3, 4, 2), ints(1, -1).reshape(2, 1), (2, 4, 2))),
    *(
        Row("ScatterElements", ((2, 4), _REPEATED, (2, 3)), {"reduction": name, "axis": 1}, fed=fed)
        for name in ("add", "max", "min")
        for fed in ((), (1,))
    ),
    *(
        Row("ScatterND", ((3, 4), np.repeat(_POINTS, 2, axis=0), (4,)), {"reduction": name}, fed=fed)
        for name in ("add", "max", "min")
        for fed in ((), (1,))
    ),
    Row("ScatterElements", ((2, 4), _LINES, (2, 3)), {"axis": 1}, fed=(1,)),
    Row("ScatterND", ((3, 4), _POINTS, (2,)), fed=(1,)),
    *(Row("ScatterND", ((3, 4), _POINTS, (2,)), opset=opset) for opset in (13, 16)),
    *(Row("ScatterElements", ((2, 4), _LINES, (2, 3)), {"axis": 1}, opset=opset) for opset in (13, 16)),
]
