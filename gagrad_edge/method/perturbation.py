"""The columns of ``perturbation [B, P]``, one row a sample: the device draws them, ``accumulate`` takes them.

Signal and offset are in pixel values 0..1, lengths in pixels of the model's image.
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
"""What each means:

``gain``, ``offset``: exposure, gain · I + offset. ``shift_y``, ``shift_x``: down and right, parts of pixels
allowed. ``angle``: radians, counter-clockwise as seen. ``flip``: 1 for left-right, else 0. ``blur``: radius
of defocus. ``read_noise``, ``shot_noise``: sensor noise of variance read_noise² + shot_noise · I. They act in
the order of the camera: flip, angle, shift, blur, exposure, sensor noise.
"""

IDENTITY = tuple(1.0 if name == "gain" else 0.0 for name in COLUMNS)
"""The row that leaves the image as it is."""

MAX_ANGLE = math.radians(10)
"""Radians. Beyond it the picture's corners are lost between the shears that rotate it."""

MAX_BLUR = 3
"""Pixels. A larger radius counts as this one."""
