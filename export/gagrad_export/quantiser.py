"""A pair of QuantizeLinear and DequantizeLinear, as arithmetic on real numbers.

q = clip(round(x/s) + z, min, max) and y = (q − z)·s are together y = s·clip(round(x/s), min − z, max − z).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


@dataclass(frozen=True)
class Quantiser:
    """Scale and limits of one QuantizeLinear, as arrays that broadcast against the node's input."""

    scale: NDArray[Any]
    """s."""
    lowest: NDArray[Any]
    """min − z."""
    highest: NDArray[Any]
    """max − z."""

    def rounded(self, op: Op, x: ir.Value) -> ir.Value:
        """Return y, bit for bit: ``Round`` rounds halves to even, as QuantizeLinear does."""
        steps = op.Round(op.Div(x, self.scale))
        return op.Mul(_limited(op, steps, self.lowest, self.highest), self.scale)

    def clipped(self, op: Op, x: ir.Value) -> ir.Value:
        """Return y without the rounding: x, clipped to the range of y."""
        return _limited(op, x, self.scale * self.lowest, self.scale * self.highest)


def quantiser(node: ir.Node) -> Quantiser:
    """Return the Quantiser of a QuantizeLinear node; canonicalise made its scale and zero point constants."""
    x, q = operand(node, 0), node.outputs[0]
    assert q.dtype is not None  # noqa: S101 - canonical values are typed
    scale = constant_array(operand(node, 1))
    assert scale is not None  # noqa: S101
    zero = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    offset = np.zeros_like(scale) if zero is None else zero.astype(scale.dtype)
    axis, block = attribute(node, "axis", 1), attribute(node, "block_size", 0)
    shape = static_shape(x)
    return Quantiser(
        scale=_spread(scale, shape, axis, block),
        lowest=_spread(q.dtype.min - offset, shape, axis, block),
        highest=_spread(q.dtype.max - offset, shape, axis, block),
    )


def _spread(array: NDArray[Any], shape: list[int | None], axis: int, block: int) -> NDArray[Any]:
    """Return ``array`` so that it broadcasts against x: one number, or one per index or block of ``axis``."""
    if array.size == 1:
        return array.reshape(())
    if block:
        return array.repeat(block, axis).take(range(shape[axis] or 0), axis)
    along = [1] * len(shape)
    along[axis] = array.size
    return array.reshape(along)


def _limited(op: Op, x: ir.Value, lowest: NDArray[Any], highest: NDArray[Any]) -> ir.Value:
    if lowest.size == highest.size == 1:
        return op.Clip(x, lowest, highest)
    return op.Min(op.Max(x, lowest), highest)
