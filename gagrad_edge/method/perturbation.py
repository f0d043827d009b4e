"""Columns of the perturbation ``[B, 9]``, which has one row for each sample.

The device draws the values, and ``accumulate`` takes them. Signal and offset are in pixel values 0..1,
lengths in pixels of the model's image.
"""

from __future__ import annotations

import math

COLUMNS = (
    "gain",
    "offset",
    "shift_y",
    "shift_x",
    "angle",
    "flip",
    "blur",
    "read_noise",
    "shot_noise",
)
"""Names of the columns, in order.

``gain``, ``offset``: exposure, gain · I + offset. ``shift_y``, ``shift_x``: down and right, fractions of a
pixel allowed. ``angle``: radians, counter-clockwise as seen. ``flip``: 1 for left-right, else 0. ``blur``:
radius of defocus. ``read_noise``, ``shot_noise``: sensor noise of variance read_noise² + shot_noise · I. They
are applied in the order of the camera: flip, angle, shift, blur, exposure, sensor noise.
"""

IDENTITY = tuple(1.0 if name == "gain" else 0.0 for name in COLUMNS)
"""The row that does not change the image."""

MAX_ANGLE = math.radians(10)
"""Largest angle in radians. Beyond it, the shears that rotate the image lose its corners."""

MAX_BLUR = 3
"""Largest radius of defocus in pixels. A larger radius counts as this one."""
