"""Make the rounding of a pooling explicit where engines and shape inference disagree about it.

Before: a pooling with ``ceil_mode`` whose last window would start behind the image, in its end padding. That
window is left out, says the specification since opset 22, and so do PyTorch and ONNX Runtime at every opset;
onnx's shape inference for older opsets counts it.

After: the same pooling with padding to the end of the last window that counts, and without ``ceil_mode``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.canonicalise.fold.inference import forget, infer
from gagrad_export.differentiate.window import Window
from gagrad_export.emit import attribute, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

_POOLINGS = {"AveragePool", "LpPool", "MaxPool"}


def settle_rounding(model: ir.Model) -> None:
    """Rewrite the poolings of ``model`` whose rounding is disputed."""
    # A wrong size is wrong in all that follows, so shapes are inferred anew behind each change.
    while any(_rounds_up(node) for node in model.graph) and _settle_first(model):
        pass


def _settle_first(model: ir.Model) -> bool:
    """Rewrite the first pooling whose rounding is disputed; tell whether there was one."""
    forget(model.graph)
    for node in infer(model, partly=True).graph:
        x = node.inputs[0] if _rounds_up(node) else None
        size = static_shape(x)[2:] if x is not None and x.shape is not None else [None]
        fixed = [length for length in size if length is not None]
        if len(fixed) == len(size) and _settle(node, fixed):
            return True
    return False


def _settle(node: ir.Node, size: Sequence[int]) -> bool:
    window = Window.of(node, size)
    rooms = [size[i] + window.begin[i] + window.end[i] - window.reach(i) for i in range(len(size))]
    windows = [-(-room // stride) + 1 for room, stride in zip(rooms, window.strides, strict=True)]
    inside = [-(-(size[i] + window.begin[i]) // window.strides[i]) for i in range(len(size))]
    counted = [min(pair) for pair in zip(windows, inside, strict=True)]
    explicit = window.covering(size, counted)
    # An average counts its padding, but not what rounding up reads beyond: so that cannot become padding.
    beyond = any(new > old for new, old in zip(explicit.end, window.end, strict=True))
    if counted == windows or (beyond and attribute(node, "count_include_pad", 0)):
        return False
    node.attributes.pop("auto_pad", None)
    node.attributes.pop("ceil_mode")
    node.attributes.add(ir.AttrInt64s("pads", [*explicit.begin, *explicit.end]))
    return True


def _rounds_up(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in _POOLINGS and bool(attribute(node, "ceil_mode", 0))
