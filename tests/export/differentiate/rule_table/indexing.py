"""Operators that select elements: each way in which they are put back has a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import IMAGE, ints

_RNG = np.random.default_rng(3)
_UNEVEN = np.array([1] * 9 + [0, 4, 2])
"""One element taken nine times: put back by a product with zeros and ones."""
_PATCHES = np.arange(18)[:, None] + np.arange(3)
"""Overlapping windows, as Unfold is exported: put back through the inverse table."""
_LINES = _RNG.integers(-6, 6, (2, 3, 4, 7))
_POINTS = _RNG.integers(-3, 3, (4, 2, 2))
_GRID = np.stack(np.meshgrid([0, 2], [1, -1], indexing="ij"), axis=-1)


def _gather(indices: object, axis: int, **settings: Any) -> Row:
    return Row("Gather", (IMAGE, np.array(indices)), {"axis": axis}, **settings)


def _narrower(inputs: tuple[object, ...], axis: int, fed: tuple[int, ...]) -> Row:
    """Return a row with fewer lines in the indices than in x, which the reference evaluator refuses."""
    return Row("GatherElements", inputs, {"axis": axis}, fed=fed, engine="onnxruntime")


ROWS = [
    Row("Slice", (IMAGE, ints(1, 2), ints(5, 6), ints(2, 3))),
    Row("Slice", (IMAGE, ints(1, 0, 2, 3), ints(2, 3, 4, 7))),
    Row("Slice", (IMAGE, ints(-4), ints(2**31), ints(-1), ints(2))),
    Row("Slice", (IMAGE, ints(0, 1), ints(6, 7), ints(2, 3), ints(3, 2))),
    Row("Slice", (IMAGE, ints(1), ints(6), ints(2), ints(2))),
    Row("Slice", (IMAGE, ints(-1), ints(-(2**31)), ints(3), ints(-2))),
    Row("Slice", (IMAGE, ints(4), ints(0), ints(2), ints(-1))),
    Row("Slice", (IMAGE, ints(0, 1), ints(2**63 - 1, 2**63 - 1), ints(0, 3))),
    _gather(2, 1),
    _gather(-1, 2),
    _gather([1, 2, 3], 3),
    _gather([4, 2, 0], -2),
    _gather([2, 0, 1], 1),
    _gather([3, 0, 5], 2),
    _gather([0, 0, 0], 2),
    _gather([[0, 1, 2], [1, 2, 3]], 3),
    _gather([[-1, 5], [0, 0]], 2),
    _gather(_UNEVEN, 3),
    *(
        Row("Gather", ((2, 21, 3), indices), {"axis": 1})
        for indices in (_PATCHES, np.tile(_PATCHES[-1::-1, 0], 4))
    ),
    _gather([[-1, 5], [0, 0]], 2, fed=(1,)),
    _gather(-2, 1, fed=(1,)),
    _gather([1, 1, 0], 3, fed=(1,)),
    *(Row("GatherElements", (IMAGE, _LINES), {"axis": 2}, fed=fed) for fed in ((), (1,))),
    *(_narrower((IMAGE, _LINES[:, :2, :, :5]), -2, fed) for fed in ((), (1,))),
    *(_narrower(((2, 7), ints(6, 0, -1).reshape(1, 3)), 1, fed) for fed in ((), (1,))),
    *(Row("GatherND", ((3, 3, 2), indices), fed=fed) for indices in (_POINTS, _GRID) for fed in ((), (1,))),
    *(Row("GatherND", ((2, 3, 4), ints(1, -1).reshape(1, 2)), fed=fed) for fed in ((), (1,))),
    *(Row("GatherND", ((4, 3, 5), _POINTS), {"batch_dims": 1}, fed=fed) for fed in ((), (1,))),
    *(Row("GatherND", ((4, 2, 3, 5), _POINTS[..., :1]), {"batch_dims": 2}, fed=fed) for fed in ((), (1,))),
    Row("TopK", (IMAGE, ints(3)), outputs=2),
    Row("TopK", (IMAGE, ints(2)), {"axis": 1}, outputs=2),
    Row("TopK", (IMAGE, ints(4)), {"axis": -2, "largest": 0, "sorted": 0}, outputs=2),
    Row("TopK", (IMAGE, ints(3)), outputs=2, opset=24, engine="onnxruntime"),
    Row("Compress", (IMAGE, np.array([True, False, True, True])), {"axis": 2}),
    Row("Compress", ((2, 3), np.array([False, True, True, False, True]))),
    Row("Trilu", ((2, 4, 5),)),
    Row("Trilu", ((2, 4, 5), np.array(-1)), {"upper": 0}),
    Row("Trilu", ((2, 4, 5), np.array(2)), {"upper": 1}),
    Row("ReverseSequence", ((5, 3, 2), ints(2, 5, 1))),
    Row("ReverseSequence", ((3, 5, 2), ints(2, 5, 1)), {"batch_axis": 0, "time_axis": 1}),
]
