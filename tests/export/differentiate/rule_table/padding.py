"""Padding in every mode."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import IMAGE, ints

_BORDERS = ints(0, 0, 1, 2, 0, 0, 3, 0)

ROWS = [
    Row("Pad", (IMAGE, _BORDERS)),
    Row("Pad", (IMAGE, ints(0, 0, -1, 2, 0, 0, 1, -2)), engine="onnxruntime"),
    Row("Pad", (IMAGE, ints(1, 2), None, ints(3))),
    Row("Pad", (IMAGE, ints(1, 2, 0, 3), np.array(0.5), ints(-1, 2))),
    *(
        Row("Pad", (IMAGE, *pads), {"mode": mode})
        for pads in ((_BORDERS,), (ints(5, 6, 5, 6), None, ints(2, 3)))
        for mode in ("reflect", "edge")
    ),
    Row("Pad", (IMAGE, _BORDERS), {"mode": "wrap"}, opset=19),
    Row("Pad", (IMAGE, ints(6, 7, 6, 0), None, ints(2, 3)), {"mode": "wrap"}, opset=21),
    Row("Pad", (IMAGE, _BORDERS), {"mode": "reflect"}, opset=25),
    Row("Pad", ((2, 3), ints(9, 8), None, ints(1)), {"mode": "edge"}),
]
