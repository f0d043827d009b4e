"""Padding. The adjoint crops the border; a border that repeats elements is added to those elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.differentiate.adjoint_gather import fixed, not_fixed, padded, reverse
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("Pad", since=(2, 11, 13, 18, 19, 21, 23, 24, 25), limits="constant pads")
def pad(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = x with a border  ⟹  dx = dy without the border, plus the border's dy at the elements it repeats."""
    mode, shape = attribute(node, "mode", "constant"), static_shape(operand(node, 0))
    borders = {axis: border for axis, border in _borders(node, len(shape)).items() if any(border)}
    if mode == "constant":
        return [padded(op, dy, {axis: (-before, -after) for axis, (before, after) in borders.items()})]
    for axis, border in borders.items():
        (size,) = fixed(node, [shape[axis]], f"axis {axis}")
        # Reflection does not repeat the outermost element, so it has one element less to repeat.
        if min(border) < 0 or (mode != "edge" and max(border) > size - (mode == "reflect")):
            raise not_fixed(node, f"padding axis {axis} of {size} elements by {border} in mode {mode!r}")
        dy = _folded(op, dy, axis, border, size, mode)
    return [dy]


def _folded(op: Op, dy: ir.Value, axis: int, border: tuple[int, int], size: int, mode: str) -> ir.Value:
    """Return ``dy`` cropped along ``axis``, with each border added to the elements that it repeats."""
    before, after = border
    dx = padded(op, dy, {axis: (-before, -after)})
    first, last = {"edge": (0, size - 1), "reflect": (1, size - 1 - after), "wrap": (size - before, 0)}[mode]
    for start, count, place in ((0, before, first), (before + size, after, last)):
        if not count:
            continue
        part, width = op.Slice(dy, [start], [start + count], [axis]), count
        if mode == "reflect":
            part = reverse(op, part, axis)
        elif mode == "edge":
            part, width = op.ReduceSum(part, [axis], keepdims=1), 1
        dx = op.Add(dx, padded(op, part, {axis: (place, size - place - width)}))
    return dx


def _borders(node: ir.Node, rank: int) -> dict[int, tuple[int, int]]:
    """Return axis → (elements added before, elements added after) of a Pad; negative numbers crop."""
    pads = constant_array(node.inputs[1]) if len(node.inputs) > 1 else attribute(node, "pads")
    listed = node.inputs[3] if len(node.inputs) > 3 else None
    axes = constant_array(listed)
    if pads is None or (listed is not None and axes is None):
        raise not_fixed(node, "the padding is computed")
    named = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    half = len(named)
    return {axis: (int(pads[i]), int(pads[i + half])) for i, axis in enumerate(named)}
