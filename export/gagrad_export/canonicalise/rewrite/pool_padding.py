"""MaxPool with the padding that a Pad in front of it adds.

Before: ``MaxPool(Pad(x; −∞))``, as timm writes TensorFlow's "same" pooling. After: ``MaxPool(x; pads)``. The
gradient of a pooling reads its input through convolutions, where 0 · −∞ would be NaN; and an engine need not
write the padded tensor.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.rewrite.writing import standard_nodes
from gagrad_export.emit import attribute, constant_array, operand, static_shape

_LOWEST = float(np.finfo(np.float32).min)


class FusePoolPadding(Pass):
    """Moves the padding into each MaxPool whose windows all keep an element of x."""

    needs = Known.ALL
    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Move the padding; a Pad that nothing else reads is left without a use."""
        fused = [_fuse(node) for node in standard_nodes(model.graph, ("MaxPool",))]
        return ir.passes.PassResult(model, any(fused))


def _fuse(node: ir.Node) -> bool:
    """Let a MaxPool pad by itself where it can; tell whether it could."""
    pad = operand(node, 0).producer()
    added = None if pad is None else _spatial_padding(pad)
    if pad is None or added is None or len(node.outputs) > 1:
        return False
    automatic = attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    own = attribute(node, "pads", [0] * len(added))
    pads = [one + two for one, two in zip(own, added, strict=True)]
    kernel = attribute(node, "kernel_shape")
    outside = any(size >= length for size, length in zip(pads, kernel * 2, strict=True))
    if automatic or attribute(node, "ceil_mode", 0) or outside:
        return False
    node.attributes.pop("auto_pad", None)
    node.attributes.add(ir.AttrInt64s("pads", pads))
    node.replace_input_with(0, operand(pad, 0))
    return True


def _spatial_padding(pad: ir.Node) -> list[int] | None:
    """Return the begins and ends that ``pad`` adds; None unless by −∞, and to spatial axes alone."""
    if pad.op_type != "Pad" or pad.domain != "" or attribute(pad, "mode", "constant") != "constant":
        return None
    rank = len(static_shape(operand(pad, 0)))
    pads, value, axes = (constant_array(item) for item in (*pad.inputs, None, None)[1:4])
    if pads is None or value is None or value.item() > _LOWEST or (len(pad.inputs) > 3 and axes is None):
        return None
    full = np.zeros((2, rank), int)
    full[:, list(range(rank)) if axes is None else axes] = pads.reshape(2, -1)
    return None if full[:, :2].any() or (full < 0).any() else [int(size) for size in full[:, 2:].ravel()]
