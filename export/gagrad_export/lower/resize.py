"""Resizing that compilers refuse: filtered against aliasing, or to sizes that keep the aspect ratio.

Before: ``Resize(x)`` with ``antialias``, ``keep_aspect_ratio_policy`` other than ``stretch`` or the
coordinates ``half_pixel_symmetric``.

After: ``x`` multiplied along each axis with the constant matrix of its weights, W_h·x·W_wᵀ for an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.interpolation import apply_matrices, resize_matrices
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def lower_resize(op: Op, node: ir.Node) -> ir.Value | None:
    """Return the resized value as matrix products; None where compilers accept the Resize."""
    accepted = (
        not attribute(node, "antialias", 0)
        and attribute(node, "keep_aspect_ratio_policy", "stretch") == "stretch"
        and attribute(node, "coordinate_transformation_mode", "half_pixel") != "half_pixel_symmetric"
    )
    if accepted:
        return None
    return apply_matrices(op, operand(node, 0), resize_matrices(node))
