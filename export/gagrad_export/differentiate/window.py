"""The geometry of a sliding window (convolution, pooling), with defaults and ``auto_pad`` resolved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """A sliding window, in elements; each list has one entry per spatial axis."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    """Padding before the first element."""
    end: list[int]
    """Padding after the last element."""

    @staticmethod
    def of(node: ir.Node, size: Sequence[int], kernel: Sequence[int] = ()) -> Window:
        """Return the window of a Conv or pooling ``node`` over an input of spatial ``size``.

        Source: the ONNX operator specifications of Conv and MaxPool, ``auto_pad``.
        """
        kernel = list(attribute(node, "kernel_shape", kernel))[-len(size) :]
        rank = len(size)
        strides = list(attribute(node, "strides", [1] * rank))
        dilations = list(attribute(node, "dilations", [1] * rank))
        pads = list(attribute(node, "pads", [0] * 2 * rank))
        begin, end = pads[:rank], pads[rank:]
        auto = attribute(node, "auto_pad", "NOTSET")
        if auto == "VALID":
            begin, end = [0] * rank, [0] * rank
        elif auto in ("SAME_UPPER", "SAME_LOWER"):
            for i in range(rank):
                reach = dilations[i] * (kernel[i] - 1) + 1
                total = max((-(-size[i] // strides[i]) - 1) * strides[i] + reach - size[i], 0)
                small, large = total // 2, total - total // 2
                begin[i], end[i] = (small, large) if auto == "SAME_UPPER" else (large, small)
        return Window(kernel, strides, dilations, begin, end)

    @staticmethod
    def of_transpose(node: ir.Node, size: Sequence[int], kernel: Sequence[int]) -> Window:
        """Return the window of the convolution whose adjoint the ConvTranspose ``node`` is.

        ``size`` is the spatial size of the ConvTranspose's input. Where ``output_shape`` or ``auto_pad``
        fixes the output, the padding follows from it, as the operator's specification says.
        """
        rank = len(size)
        plain = Window.of(node, size, kernel)
        extra = list(attribute(node, "output_padding", [0] * rank))
        begin, end = plain.begin, plain.end
        auto = attribute(node, "auto_pad", "NOTSET")
        shape = attribute(node, "output_shape")
        if shape is not None or auto in ("SAME_UPPER", "SAME_LOWER"):
            wanted = (
                list(shape)[-rank:] if shape else [n * s for n, s in zip(size, plain.strides, strict=True)]
            )
            for i in range(rank):
                reach = plain.dilations[i] * (plain.kernel[i] - 1) + 1
                total = max(plain.strides[i] * (size[i] - 1) + extra[i] + reach - wanted[i], 0)
                small, large = total // 2, total - total // 2
                begin[i], end[i] = (small, large) if auto == "SAME_UPPER" else (large, small)
        # Output padding only lengthens the output: the convolution back does not read that far.
        return Window(plain.kernel, plain.strides, plain.dilations, begin, end)

    def covering(self, size: Sequence[int], outputs: Sequence[int]) -> Window:
        """Return the window with its end padding set to the last element that ``ceil_mode`` reads."""
        last = [(n - 1) * s for n, s in zip(outputs, self.strides, strict=True)]
        end = [max(last[i] + self.reach(i) - self.begin[i] - size[i], 0) for i in range(len(size))]
        return replace(self, end=end)

    def reach(self, axis: int) -> int:
        """Return the number of elements that the window spans along ``axis``, dilation included."""
        return self.dilations[axis] * (self.kernel[axis] - 1) + 1


def averaged_counts(node: ir.Node, window: Window, size: Sequence[int]) -> NDArray[np.float64]:
    """Return the divisor of the AveragePool ``node`` at each output position, in elements.

    With ``count_include_pad`` padding counts; elements that ``ceil_mode`` reads beyond the padding do not.
    """
    include = attribute(node, "count_include_pad", 0)
    counts = np.ones(())
    for axis, outputs in enumerate(fixed_shape(node.outputs[0])[1:]):
        first = -window.begin[axis] if include else 0
        last = size[axis] + (window.end[axis] if include else 0)
        positions = np.arange(outputs) * window.strides[axis] - window.begin[axis]
        taps = positions[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        counts = counts[..., None] * ((taps >= first) & (taps < last)).sum(axis=1)
    return counts
