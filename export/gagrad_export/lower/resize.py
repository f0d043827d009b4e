"""Resize in the modes that compilers refuse, as matrix products.

Before: ``Resize(x)`` with ``antialias``, ``keep_aspect_ratio_policy`` other than ``stretch`` or the
coordinates ``half_pixel_symmetric`` or ``tf_crop_and_resize``, or with sizes for some axes only.

After: ``x`` multiplied along each axis by the constant matrix of its weights, W_h·x·W_wᵀ for an image. An
output element that a crop reads outside the image has a row of zeros, and gets ``extrapolation_value``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.interpolation import apply_matrices, resize_matrices
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


_REFUSED = ("half_pixel_symmetric", "tf_crop_and_resize")


def lower_resize(op: Op, node: ir.Node) -> ir.Value | None:
    """Return the Resize ``node`` as matrix products; None if compilers accept the Resize."""
    accepted = (
        not attribute(node, "antialias", 0)
        and attribute(node, "keep_aspect_ratio_policy", "stretch") == "stretch"
        and attribute(node, "coordinate_transformation_mode", "half_pixel") not in _REFUSED
        and not ("axes" in node.attributes and len(node.inputs) > 3)
    )
    if accepted:
        return None
    matrices = resize_matrices(node)
    y = apply_matrices(op, operand(node, 0), matrices)
    value = attribute(node, "extrapolation_value", 0.0)
    inside = np.ones([1] * len(static_shape(y)))
    for axis, matrix in matrices.items():
        inside = inside * matrix.any(axis=1).reshape([-1 if i == axis else 1 for i in range(inside.ndim)])
    return op.Add(y, value * (1 - inside)) if value and not inside.all() else y
