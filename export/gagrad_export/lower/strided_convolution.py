"""The input gradient of a convolution of stride 2, as stride-1 convolutions for the even and the odd pixels.

Before: ``ConvInputGradient(dy, w)`` with strides s of 1 or 2 and constant weights.

After, per axis: y[i] = Σₖ w[k]·x[s·i + k − p] gives dx[j] = Σₖ w[k]·dy[(j + p − k)/s] over the k for which s
divides j + p − k. For the pixels j = s·m + f of phase f these are k = k₀ + s·t with k₀ = (f + p) mod s, and
with c = (f + p − k₀)/s

    dx[s·m + f] = Σₜ w[k₀ + s·t]·dy[m + c − t],

a stride-1 convolution of dy with every s-th weight, reversed. Each weight belongs to exactly one phase, so no
multiplication is wasted. ``Interleave`` joins the phases, see ``interleave.py``.

In ONNX Runtime these convolutions run in the blocked layout, for which ConvTranspose has no kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.emit import attribute, fixed_shape, operand
from gagrad_export.lower.first_convolution import FEW_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


@dataclass(frozen=True)
class Phase:
    """One phase along one axis; a phase without weights has no gradient."""

    taps: slice
    """The weights of the phase: every s-th weight of the window."""
    count: int
    """Number of weights."""
    before: int
    """Padding of dy before its first element, in elements."""
    after: int
    """Padding of dy after its last element, in elements."""


def lower_by_phases(op: Op, node: ir.Node, swapped: NDArray[np.float32]) -> ir.Value | None:
    """Return the lowered ConvInputGradient ``node``; None if this lowering does not apply.

    ``swapped [C, M/g, K…]`` are the weights with input and output channels swapped, not yet reversed. The
    lowering applies to strides of 1 and 2 without dilation if no phase needs negative padding of dy.
    """
    dy, group, strides = operand(node, 0), attribute(node, "group"), attribute(node, "strides")
    plain = {*strides} <= {1, 2} and {*attribute(node, "dilations")} == {1}
    if not plain or not _worthwhile(swapped, group):
        return None
    axes = _phases(node, swapped.shape[2:])
    used = [phase for axis in axes for phase in axis if phase.count]
    if any(min(phase.before, phase.after) < 0 for phase in used):
        return None
    spatial = tuple(range(2, 2 + len(axes)))
    parts: list[ir.Value | None] = []
    for phases in product(*axes):
        index = (slice(None), slice(None), *(phase.taps for phase in phases))
        taps = np.ascontiguousarray(np.flip(swapped[index], axis=spatial))
        if not taps.any():  # no weight reaches these pixels, or only zeros do
            parts.append(None)
            continue
        pads = [*(phase.before for phase in phases), *(phase.after for phase in phases)]
        parts.append(op.Conv(dy, taps, pads=pads, group=group))
    return op.internal("Interleave", parts, like=node.outputs[0], strides=strides)


def _worthwhile(swapped: NDArray[np.float32], group: int) -> bool:
    """Tell whether engines have a fast kernel for the phases: depthwise, or dense to many channels."""
    inputs, outputs = swapped.shape[:2]
    depthwise = outputs == 1 and inputs == group
    return depthwise or (group == 1 and inputs >= FEW_CHANNELS)


def _phases(node: ir.Node, kernel: Sequence[int]) -> list[list[Phase]]:
    """Return, for each spatial axis, its phases f = 0 … s − 1."""
    have, wanted = fixed_shape(operand(node, 0))[1:], fixed_shape(node.outputs[0])[1:]
    each = zip(kernel, attribute(node, "strides"), attribute(node, "pads"), have, wanted, strict=False)
    return [[_phase(f, s, k, p, h, -(-n // s)) for f in range(s)] for k, s, p, h, n in each]


def _phase(f: int, stride: int, kernel: int, pad: int, have: int, length: int) -> Phase:
    first = (f + pad) % stride
    count = len(range(first, kernel, stride))
    shift = (f + pad - first) // stride
    return Phase(slice(first, None, stride), count, count - 1 - shift, length + shift - have)
