"""A MaxPool pads for itself: an engine need not write the padded tensor, and no infinity is computed with.

Before: ``MaxPool(Pad(x; −∞))``, as timm writes TensorFlow's "same" pooling. After: ``MaxPool(x; pads)``. The
gradient of a pooling reads its input through convolutions, where 0 · −∞ would be NaN.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import attribute, constant_array, operand, static_shape

_LOWEST = float(np.finfo(np.float32).min)


def fuse_pool_padding(graph: ir.Graph) -> None:
    """Move the padding into each MaxPool whose windows all keep an element of x; shapes are known."""
    for node in graph:
        pad = operand(node, 0).producer() if node.op_type == "MaxPool" and node.domain == "" else None
        added = None if pad is None else _spatial_padding(pad)
        if pad is None or added is None or len(node.outputs) > 1:
            continue
        automatic = attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
        own = attribute(node, "pads", [0] * len(added))
        pads = [one + two for one, two in zip(own, added, strict=True)]
        kernel = attribute(node, "kernel_shape")
        outside = any(pad >= length for pad, length in zip(pads, kernel * 2, strict=True))
        if automatic or attribute(node, "ceil_mode", 0) or outside:
            continue
        node.attributes.pop("auto_pad", None)
        node.attributes.add(ir.AttrInt64s("pads", pads))
        node.replace_input_with(0, operand(pad, 0))


def _spatial_padding(pad: ir.Node) -> list[int] | None:
    """Return what ``pad`` adds before and after the spatial axes, if with −∞ and nowhere else."""
    if pad.op_type != "Pad" or pad.domain != "" or attribute(pad, "mode", "constant") != "constant":
        return None
    rank = len(static_shape(operand(pad, 0)))
    pads, value, axes = (constant_array(item) for item in (*pad.inputs, None, None)[1:4])
    if pads is None or value is None or value.item() > _LOWEST or (len(pad.inputs) > 3 and axes is None):
        return None
    full = np.zeros((2, rank), int)
    full[:, list(range(rank)) if axes is None else axes] = pads.reshape(2, -1)
    return None if full[:, :2].any() or (full < 0).any() else [int(size) for size in full[:, 2:].ravel()]
