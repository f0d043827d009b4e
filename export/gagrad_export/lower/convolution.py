"""The gradient of a convolution with respect to its input.

Before: ``ConvInputGradient(dy, w)``, with the attributes of the forward convolution.

After, stride 1 and constant weights: ``Conv(dy, w′)`` where w′ has input and output channels swapped within
each group and its window reversed. From y[i] = Σₖ w[k]·x[i + d·k − p] follows
dx[j] = Σₖ w[k]·dy[j − d·k + p]; with k′ = K − 1 − k this is a convolution of dy with the reversed w and
padding p′ = d·(K − 1) − p. Engines run it as fast as the forward convolution, where their ConvTranspose is
up to 40 times slower.

After, otherwise: ``ConvTranspose(dy, w)``, which is the adjoint by definition; its output padding makes up
for what the forward's rounding dropped: H − ((H′ − 1)·s + d·(K − 1) + 1 − p₀ − p₁).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, constant_array, fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


def lower_convolution(op: Op, node: ir.Node) -> ir.Value:
    """Return the lowered input gradient of a convolution."""
    dy, w = operand(node, 0), operand(node, 1)
    kernel = fixed_shape(w)[1:]
    strides, dilations = attribute(node, "strides"), attribute(node, "dilations")
    pads, group = attribute(node, "pads"), attribute(node, "group")
    rank = len(kernel)
    begin, end = pads[:rank], pads[rank:]
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    mirrored = [r - p for r, p in zip([*reach, *reach], [*begin, *end], strict=True)]
    weights = constant_array(w)
    if weights is not None and all(s == 1 for s in strides) and min(mirrored) >= 0:
        return op.Conv(dy, reversed_weights(weights, group), dilations=dilations, pads=mirrored, group=group)
    wanted, have = fixed_shape(node.outputs[0])[1:], fixed_shape(dy)[1:]
    missing = [
        wanted[i] - ((have[i] - 1) * strides[i] + reach[i] + 1 - begin[i] - end[i]) for i in range(rank)
    ]
    return op.ConvTranspose(
        dy, w, strides=strides, dilations=dilations, pads=pads, group=group, output_padding=missing
    )


def reversed_weights(weights: NDArray[np.float32], group: int) -> NDArray[np.float32]:
    """Return ``weights [M, C/g, K…]`` as ``[C, M/g, K…]`` per group, with the window reversed."""
    outputs, inputs, *kernel = weights.shape
    grouped = weights.reshape(group, outputs // group, inputs, *kernel).swapaxes(1, 2)
    swapped = grouped.reshape(group * inputs, outputs // group, *kernel)
    return np.ascontiguousarray(np.flip(swapped, axis=tuple(range(2, swapped.ndim))))
