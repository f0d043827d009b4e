"""Finite numbers: what the model gives is checked before a map is drawn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def finite(values: Array, what: str) -> Array:
    """Return ``values`` if every number in them is finite. Raises ModelError: no map is drawn from NaN."""
    if not np.isfinite(values).all():
        raise ModelError(
            f"the model's {what} are not finite numbers (NaN or infinity), so no map was drawn",
            hint="look at the image; if it is ordinary, the model's weights or its export are at fault",
        )
    return values
