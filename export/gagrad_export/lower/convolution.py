"""The adjoint of a convolution: the gradient with respect to its input, and ConvTranspose itself.

Before: ``ConvInputGradient(dy, w)``, with the attributes of the forward convolution; or
``ConvTranspose(x, w, b)`` with stride and dilation, which compilers refuse.

After, stride 1: ``Conv(dy, w′)`` where w′ has input and output channels swapped within each group and its
window reversed. From y[i] = Σₖ w[k]·x[i + d·k − p] follows dx[j] = Σₖ w[k]·dy[j − d·k + p]; with
k′ = K − 1 − k this is a convolution of dy with the reversed w and padding p′ = d·(K − 1) − p. Engines run it
as fast as the forward convolution, while their ConvTranspose is up to 40 times slower.

After, strided with few input channels: see ``first_convolution.py``. After, stride 2 with many: see
``strided_convolution.py``.

After, stride s with dilation: as for stride 1, applied to dy with s − 1 zeros inserted after each element.

After, in all other cases: ``ConvTranspose(dy, w)``, which is the adjoint by definition. Its output padding
restores the input elements that the forward convolution did not reach when it rounded its output size down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, constant_array, fixed_shape, operand
from gagrad_export.lower.first_convolution import lower_first_convolution
from gagrad_export.lower.strided_convolution import lower_by_phases

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


@dataclass(frozen=True)
class Adjoint:
    """The adjoint of the convolution with ``window``; its output has the spatial ``size``."""

    window: Window
    size: list[int]
    group: int


def lower_convolution(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered ConvInputGradient ``node``: dx, the gradient by the convolution's input."""
    dy, w = operand(node, 0), operand(node, 1)
    size = fixed_shape(node.outputs[0])[1:]
    adjoint = Adjoint(Window.of(node, size, fixed_shape(w)[1:]), size, attribute(node, "group"))
    if all(stride == 1 for stride in adjoint.window.strides) or _strided_and_dilated(adjoint.window):
        return _convolved(op, [dy, w], adjoint)
    weights, lowered = constant_array(w), None
    if weights is not None:
        swapped = swapped_weights(weights, adjoint.group)
        lowered = lower_first_convolution(op, node, swapped) or lower_by_phases(op, node, swapped)
    return lowered or _transposed(op, [dy, w], adjoint)


def lower_conv_transpose(op: Op, node: ir.Node) -> ir.Value | None:
    """Return a ConvTranspose with both stride and dilation as a Conv; None for any other ConvTranspose."""
    x, w = operand(node, 0), operand(node, 1)
    window = Window.of_transpose(node, fixed_shape(x)[1:], fixed_shape(w)[1:])
    if not _strided_and_dilated(window):
        return None
    adjoint = Adjoint(window, fixed_shape(node.outputs[0])[1:], attribute(node, "group", 1))
    return _convolved(op, list(node.inputs), adjoint)


def _strided_and_dilated(window: Window) -> bool:
    return max(window.strides) > 1 and max(window.dilations) > 1


def _transposed(op: Op, operands: list[ir.Value], adjoint: Adjoint) -> ir.Value:
    """Return the adjoint as a ConvTranspose."""
    window, have = adjoint.window, fixed_shape(operands[0])[1:]
    surplus = [
        (have[i] - 1) * window.strides[i] + window.reach(i) - window.begin[i] - adjoint.size[i]
        for i in range(len(have))
    ]
    return op.ConvTranspose(
        *operands,
        strides=window.strides,
        dilations=window.dilations,
        pads=[*window.begin, *(max(length, 0) for length in surplus)],
        output_padding=[max(-length, 0) for length in surplus],
        group=adjoint.group,
    )


def _convolved(op: Op, operands: list[ir.Value | None], adjoint: Adjoint) -> ir.Value:
    """Return the adjoint as a Conv with the reversed window, at stride 1."""
    dy, w, *bias = operands
    assert dy is not None and w is not None  # noqa: S101, PT018 - required inputs
    window = adjoint.window
    spread = _zeros_inserted(op, dy, window.strides)
    have, axes = fixed_shape(spread)[1:], range(len(adjoint.size))
    before = [window.reach(i) - 1 - window.begin[i] for i in axes]
    after = [adjoint.size[i] + window.begin[i] - have[i] for i in axes]
    # Elements of dy that belong to padding only are cropped, because compilers refuse negative padding.
    crop = [i for i in axes if min(before[i], after[i]) < 0]
    if crop:
        starts, ends = [max(-before[i], 0) for i in crop], [have[i] + min(after[i], 0) for i in crop]
        spread = op.Slice(spread, starts, ends, [2 + i for i in crop])
    return op.Conv(
        spread,
        _reversed(op, w, adjoint.group),
        *bias,
        dilations=window.dilations,
        pads=[max(length, 0) for length in [*before, *after]],
        group=adjoint.group,
    )


def _zeros_inserted(op: Op, value: ir.Value, strides: list[int]) -> ir.Value:
    """Return ``value`` with ``stride − 1`` zeros after each element along each spatial axis."""
    if all(stride == 1 for stride in strides):
        return value
    channels, *size = fixed_shape(value)
    apart = op.Unsqueeze(value, [3 + 2 * i for i in range(len(size))])
    after = [extra for stride in strides for extra in (0, stride - 1)]
    padded = op.Pad(apart, [0] * (4 + 2 * len(size)) + after)
    return op.Reshape(padded, [0, channels, *(n * s for n, s in zip(size, strides, strict=True))])


def _reversed(op: Op, w: ir.Value, group: int) -> ir.Value:
    """Return weights ``[M, C/g, K…]`` as ``[C, M/g, K…]``, with the window reversed."""
    weights = constant_array(w)
    if weights is not None:
        return op.constant(reversed_weights(weights, group))
    inputs, *kernel = fixed_shape(w)
    axes = list(range(2, 2 + len(kernel)))
    turned = op.Slice(w, [-1] * len(axes), [-(2**31)] * len(axes), axes, [-1] * len(axes))
    grouped = op.Reshape(turned, [group, -1, inputs, *kernel])
    swapped = op.Transpose(grouped, perm=[0, 2, 1, *(axis + 1 for axis in axes)])
    return op.Reshape(swapped, [group * inputs, -1, *kernel])


def reversed_weights(weights: NDArray[np.float32], group: int) -> NDArray[np.float32]:
    """Return ``weights [M, C/g, K…]`` as ``[C, M/g, K…]`` per group, with the window reversed."""
    swapped = swapped_weights(weights, group)
    return np.ascontiguousarray(np.flip(swapped, axis=tuple(range(2, swapped.ndim))))


def swapped_weights(weights: NDArray[np.float32], group: int) -> NDArray[np.float32]:
    """Return ``weights [M, C/g, K…]`` as ``[C, M/g, K…]`` per group: outputs become inputs."""
    outputs, inputs, *kernel = weights.shape
    grouped = weights.reshape(group, outputs // group, inputs, *kernel).swapaxes(1, 2)
    swapped: NDArray[np.float32] = grouped.reshape(group * inputs, outputs // group, *kernel)
    return swapped
