"""Normalisation over channels, groups, trailing and chosen axes."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import AWAY, IMAGE

_W = np.random.default_rng(2).standard_normal
_POSITIVE = np.random.default_rng(2).uniform
_PAIR = (_W(3), _W(3))

ROWS = [
    Row("BatchNormalization", (IMAGE, *_PAIR, _W(3), _POSITIVE(0.5, 1.5, 3))),
    Row("BatchNormalization", ((2, 3), *_PAIR, _W(3), _POSITIVE(0.5, 1.5, 3)), {"epsilon": 0.5}),
    Row("LayerNormalization", ((2, 5, 8), _W(8), _W(8))),
    Row("LayerNormalization", ((2, 5, 8), _W(8)), {"epsilon": 0.5}),
    Row("LayerNormalization", (IMAGE, _W((3, 6, 7)), _W((3, 6, 7))), {"axis": 1}),
    Row("LayerNormalization", (IMAGE, _W((6, 7)), _W((6, 7))), {"axis": -2}),
    Row("LayerNormalization", ((2, 5, 8), np.zeros(8), _W(8))),
    Row("RMSNormalization", ((2, 5, 8), _W(8)), opset=23),
    Row("RMSNormalization", (IMAGE, _W((3, 6, 7))), {"axis": 1, "epsilon": 0.5}, opset=23),
    *(
        row
        for opset in (18, 22)
        for row in (
            Row("InstanceNormalization", (IMAGE, *_PAIR), opset=opset),
            Row("InstanceNormalization", ((2, 3, 9), *_PAIR), {"epsilon": 0.5}, opset=opset),
        )
    ),
    # A function of the standard whose constants are float32, so that it is not valid in float64.
    *(
        Row("MeanVarianceNormalization", (IMAGE,), {"axes": axes}, dtype="float32", step=1e-3, tolerance=1e-3)
        for axes in ([2, 3], [1, 3], [0, 2, 3])
    ),
    *(
        Row("LpNormalization", (IMAGE,), {"p": p, "axis": axis}, domain=domain, opset=opset)
        for opset in (18, 22)
        for p, axis, domain in (
            (2, 1, (-2.0, 2.0)),
            (2, -1, (-2.0, 2.0)),
            (1, 1, AWAY),
            (1, -1, (-2.0, 2.0)),
        )
    ),
    Row("LpNormalization", (IMAGE,)),
    # TensorRT takes no window of even size.
    Row("LRN", ((2, 5, 3, 3),), {"size": 3}),
    Row("LRN", ((2, 5, 3, 3),), {"size": 4, "alpha": 0.7, "beta": 0.5, "bias": 2.0}),
    Row("LRN", ((2, 5, 2, 2),), {"size": 7, "alpha": 2.0}),
]
