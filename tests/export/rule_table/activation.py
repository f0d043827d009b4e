"""Activation functions, on both sides of their kinks."""

from __future__ import annotations

import numpy as np

from tests.export.gradient_check import Row
from tests.export.rule_table.operands import AWAY, IMAGE

ROWS = [
    *(Row("Relu", (IMAGE,), domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("LeakyRelu", (IMAGE,), {"alpha": 0.3}, domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("PRelu", (IMAGE, np.full((3, 1, 1), 0.2)), domain=d) for d in (AWAY, (-2.0, -0.1))),
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
    Row("Softplus", (IMAGE,)),
    # The reference evaluator computes erf in float32.
    Row("Erf", (IMAGE,), step=1e-3, tolerance=1e-3),
    *(Row(name, ((2, 5, 4),), {"axis": axis}) for name in ("Softmax", "LogSoftmax") for axis in (-1, 1)),
]
