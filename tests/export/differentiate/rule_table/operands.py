"""Operands that many rows share."""

from __future__ import annotations

import numpy as np

IMAGE = (2, 3, 6, 7)
AWAY = (0.1, 2.0)
"""A domain away from the kink at 0."""


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
