"""Operators that move, repeat or pick elements: constants that hold the fixed batch are rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.batch.place import places, shape_of
from gagrad_export.canonicalise.batch.registry import Placed, carries
from gagrad_export.differentiate.interpolation import reads_alike
from gagrad_export.emit import attribute, constant_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.batch.values import Batch


@carries("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def view(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Keep the elements in order: the batch lies where as many positions are outside it."""
    if placed[0] is None:
        return None
    outer = placed[0].outer(shape_of(node.inputs[0]))
    found = places(shape_of(node.outputs[0]), outer, batch.size)
    if not found:
        return None
    batch.become_reshape(node, placed[0], found[0])
    return [found[0]]


@carries("Transpose")
def transpose(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Move the batch with its axis."""
    assert placed[0] is not None  # noqa: S101 - its one input
    rank = len(shape_of(node.inputs[0]))
    perm = attribute(node, "perm", list(reversed(range(rank))))
    return [placed[0].at(perm.index(placed[0].axis))]


@carries("Expand")
def expand(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Give the batch's axis a target of 1, which leaves it as it is."""
    x, target = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    place = placed[0]
    if place is None or placed[1] is not None:
        return None
    place = place.at(place.axis + len(target) - len(x))
    if target[place.axis] != x[placed[0].axis]:  # type: ignore[union-attr]
        return None
    target[place.axis] = 1
    node.replace_input_with(1, batch.op.constant(target))
    return [place]


@carries("Concat")
def concat(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Parts that do not depend on the image (a class token) are repeated for each row."""
    axis = int(attribute(node, "axis")) % len(shape_of(node.outputs[0]))
    found = {place for place in placed if place is not None}
    (place, *others) = found
    if others or place.axis == axis:
        return None
    for index, (value, part) in enumerate(zip(node.inputs, placed, strict=True)):
        if part is None and value is not None:
            node.replace_input_with(index, batch.spread(value, place))
    return [place]


@carries("Resize")
def resize(batch: Batch, node: ir.Node, placed: Placed) -> Sequence[Place] | None:
    """Turn sizes, which hold the batch, into scales.

    The scale is size / extent, as the operator itself computes it, or the next float where scale · extent
    would round below the size: in float32, as in ONNX Runtime, or in float64, as in onnx's shape inference.
    Where nearest-neighbour sampling would read other pixels with the next float, the operator gets sizes, for
    the axes that change only.
    """
    place, shape, target = placed[0], shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if place is None or shape[place.axis] != target[place.axis]:
        return None
    sizes = node.inputs[3] if len(node.inputs) > 3 else None
    if sizes is not None and "axes" not in node.attributes:
        extents = np.array(shape, np.float32)
        scales = np.array(target, np.float32) / extents
        below = (np.floor(scales * extents) < target) | (np.floor(scales * extents.astype(float)) < target)
        larger = np.nextafter(scales, np.float32(np.inf))
        if attribute(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
            return [place] if _crop_other_axes(batch, node, place, target) else None
        stretched = attribute(node, "keep_aspect_ratio_policy", "stretch") == "stretch"
        if stretched and all(
            reads_alike(node, shape[axis], target[axis], (scales[axis], larger[axis]))
            for axis in np.flatnonzero(below)
        ):
            scales[below] = larger[below]
            node.resize_inputs(3)
            node.replace_input_with(2, batch.op.constant(scales))
            return [place]
        axes = [axis for axis in range(len(shape)) if shape[axis] != target[axis]] or [len(shape) - 1]
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)
        node.replace_input_with(3, batch.op.constant([target[axis] for axis in axes]))
    return [place]


def _crop_other_axes(batch: Batch, node: ir.Node, place: Place, target: list[int]) -> bool:
    """Let a Resize that crops name its axes, without the batch's; tell whether its region is a constant."""
    region = constant_array(node.inputs[1])
    if region is None:
        return False
    axes = [axis for axis in range(len(target)) if axis != place.axis]
    node.attributes["axes"] = ir.AttrInt64s("axes", axes)
    node.replace_input_with(1, batch.op.constant(region.reshape(2, -1)[:, axes].ravel()))
    node.replace_input_with(3, batch.op.constant([target[axis] for axis in axes]))
    return True
