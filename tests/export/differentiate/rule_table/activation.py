"""Activation functions, on both sides of their kinks."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table.operands import AWAY, IMAGE

ROWS = [
    *(Row("Relu", (IMAGE,), domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("LeakyRelu", (IMAGE,), {"alpha": 0.3}, domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("PRelu", (IMAGE, np.full((3, 1, 1), 0.2)), domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("PRelu", (IMAGE, (3, 1, 1)), domain=d) for d in (AWAY, (-2.0, -0.1))),
    Row("PRelu", (IMAGE, IMAGE)),
    Row("Clip", (IMAGE, np.array(0.0), np.array(6.0)), domain=(0.1, 5.9)),
    Row("Clip", (IMAGE, np.array(0.0), np.array(0.5)), domain=(0.6, 2.0)),
    Row("Clip", (IMAGE, np.array(0.0), None), domain=AWAY),
    Row("Clip", (IMAGE, None, np.array(1.0)), domain=(0.0, 0.9)),
    Row("Clip", (IMAGE,)),
    Row("Sigmoid", (IMAGE,)),
    Row("Tanh", (IMAGE,)),
    *(Row("HardSigmoid", (IMAGE,), {"alpha": 0.2, "beta": 0.5}, domain=d) for d in ((-2.4, 2.4), (2.6, 4.0))),
    *(Row("HardSwish", (IMAGE,), domain=d) for d in ((-2.9, 2.9), (3.1, 5.0), (-5.0, -3.1))),
    *(Row("Elu", (IMAGE,), {"alpha": 0.7}, domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(
        Row(name, (IMAGE,), attributes, domain=d, opset=opset)
        for name, attributes, opset in (
            ("Elu", {}, 22),
            ("Selu", {}, 18),
            ("Selu", {"alpha": 0.7, "gamma": 1.3}, 22),
            ("Softsign", {}, 18),
            ("Softsign", {}, 22),
        )
        for d in (AWAY, (-2.0, -0.1))
    ),
    # Celu is defined for float32 only: values near 1 rounded to 6e-8 give differences good to 1e-4.
    *(
        Row("Celu", (IMAGE,), attributes, domain=d, dtype="float32", step=1e-3, tolerance=1e-3)
        for attributes in ({}, {"alpha": 0.7})
        for d in (AWAY, (-2.0, -0.1))
    ),
    *(
        Row("ThresholdedRelu", (IMAGE,), attributes, domain=d, opset=opset)
        for attributes, opset in (({}, 18), ({"alpha": 1.0}, 22))
        for d in ((1.1, 2.0), (-2.0, 0.9))
    ),
    Row("ThresholdedRelu", (IMAGE,), {"alpha": 0.2}, domain=(0.3, 0.9)),
    *(Row("Shrink", (IMAGE,), domain=d) for d in ((0.6, 2.0), (-0.4, 0.4), (-2.0, -0.6))),
    Row("Shrink", (IMAGE,), {"lambd": 0.1, "bias": 0.3}, domain=(0.2, 0.4)),
    Row("Gelu", (IMAGE,), opset=20),
    Row("Gelu", (IMAGE,), {"approximate": "tanh"}, opset=20),
    *(Row("Swish", (IMAGE,), attributes, opset=24) for attributes in ({}, {"alpha": 1.7})),
    *(Row("Mish", (IMAGE,), opset=opset) for opset in (18, 22)),
    Row("Softplus", (IMAGE,)),
    Row("Erf", (IMAGE,)),
    *(Row(name, ((2, 5, 4),), {"axis": axis}) for name in ("Softmax", "LogSoftmax") for axis in (-1, 1)),
]
