"""Poolings with explicit padding where engines and shape inference disagree about rounding up.

Before: a pooling with ``ceil_mode`` whose last window would start behind the image, in its end padding. The
specification leaves that window out since opset 22, and PyTorch and ONNX Runtime do at every opset; onnx's
shape inference for older opsets counts it.

After: the same pooling with padding to the end of the last window that counts, and without ``ceil_mode``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

_POOLINGS = {"AveragePool", "LpPool", "MaxPool"}


class PadCeilPooling(Pass):
    """Rewrites the first pooling whose last window engines and shape inference count differently.

    One pooling at a time: a wrong size makes every shape behind it wrong, so shapes are inferred anew before
    the next pooling.
    """

    needs = Known.SOME

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite one pooling whose input has a known size."""
        for node in model.graph:
            x = node.inputs[0] if _rounds_up(node) else None
            size = static_shape(x)[2:] if x is not None and x.shape is not None else [None]
            fixed = [length for length in size if length is not None]
            if len(fixed) == len(size) and _write_padding(node, fixed):
                return ir.passes.PassResult(model, modified=True)
        return ir.passes.PassResult(model, modified=False)


def _write_padding(node: ir.Node, size: Sequence[int]) -> bool:
    """Write out the padding of a pooling of images of ``size``; False where its rounding is not disputed."""
    window = Window.of(node, size)
    rooms = [size[i] + window.begin[i] + window.end[i] - window.reach(i) for i in range(len(size))]
    windows = [-(-room // stride) + 1 for room, stride in zip(rooms, window.strides, strict=True)]
    inside = [-(-(size[i] + window.begin[i]) // window.strides[i]) for i in range(len(size))]
    counted = [min(pair) for pair in zip(windows, inside, strict=True)]
    explicit = window.covering(size, counted)
    # An average counts its padding, but not the pixels beyond that rounding up reads: these cannot become
    # padding.
    beyond = any(new > old for new, old in zip(explicit.end, window.end, strict=True))
    if counted == windows or (beyond and attribute(node, "count_include_pad", 0)):
        return False
    node.attributes.pop("auto_pad", None)
    node.attributes.pop("ceil_mode")
    node.attributes.add(ir.AttrInt64s("pads", [*explicit.begin, *explicit.end]))
    return True


def _rounds_up(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in _POOLINGS and bool(attribute(node, "ceil_mode", 0))
