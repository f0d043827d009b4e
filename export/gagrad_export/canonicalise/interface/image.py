"""The image as the graph's input: float32 ``[N, C, H, W]``, whatever the model was exported with.

Before: ``x: uint8 [N, H, W, 3] → …``. After: ``x: float32 [N, 3, H, W] → Mul 255 → Transpose → …``. A model
that starts with uint8 does its own scaling; its pixels are not rounded, so that it has a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import findings_of
from gagrad_export.canonicalise.interface.ports import CHANNELS, USUAL
from gagrad_export.canonicalise.interface.source import SourceInput
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


def source_input(
    image: ir.Value,
    size: tuple[int, int] | None,
    constants: Mapping[str, NDArray[np.generic]],
    channels: int | None = None,
) -> SourceInput:
    """Return what the model takes, with images of ``size = (H, W)`` and ``channels``. Raises ModelError.

    None for the channels is what the model says.
    """
    where = f"input {image.name!r}"
    if image.dtype not in (*FLOATS, ir.DataType.UINT8):
        raise ModelError(
            f"the model takes {image.dtype} images; float and uint8 are supported",
            where=where,
            hint="export the model with a float32 input",
        )
    if image.shape is None or image.shape.rank() != 4:
        raise ModelError(
            f"the model takes an input of shape {image.shape}, not an image [N, C, H, W] or [N, H, W, C]",
            where=where,
            hint="choose the image input with `input_name`",
        )
    dims = [dim if isinstance(dim, int) and dim > 0 else None for dim in image.shape]
    axis = _channel_axis(dims, channels)
    if axis is None:
        raise _no_channels(dims, channels, where)
    channels_last = axis == 3
    found = dims.pop(axis) or channels or 0
    batch, *have = dims
    wanted = size or (have[0], have[1])
    if wanted[0] is None or wanted[1] is None:
        raise ModelError("the model takes images of any size", where=where, hint="say which with `size`")
    if any(one is not None and one != two for one, two in zip(have, wanted, strict=True)):
        height, width = ("any" if dim is None else dim for dim in have)
        raise ModelError(
            f"the model takes images {height} high and {width} wide, "
            f"not {wanted[0]} high and {wanted[1]} wide",
            where=where,
            hint="give that size with `size`, or leave `size` out",
        )
    return SourceInput(
        name=image.name or "",
        dtype=image.dtype,
        batch=batch or 1,
        fixed_batch=batch is not None,
        channels_last=channels_last,
        shape=(found, wanted[0], wanted[1]),
        constants=constants,
    )


def _channel_axis(dims: list[int | None], channels: int | None) -> int | None:
    """Return which axis of ``dims``, 1 or 3, holds the channels; None where neither can."""
    counts = (USUAL, CHANNELS) if channels is None else ((channels,), (None,))
    return next((axis for some in counts for axis in (1, 3) if dims[axis] in some), None)


def _no_channels(dims: list[int | None], channels: int | None, where: str) -> ModelError:
    """Return the error that no axis of ``dims`` holds the channels."""
    if channels is not None:
        shape = ", ".join("any" if dim is None else str(dim) for dim in dims)
        return ModelError(
            f"the model takes images of shape [{shape}], not with {channels} channels",
            where=where,
            hint="give the number that the model has with `channels`, or leave `channels` out",
        )
    have = "an unknown number of" if dims[1] is None else str(dims[1])
    return ModelError(
        f"the model takes {have} channels; 1 to {CHANNELS[-1]} are supported",
        where=where,
        hint="say how many with `channels`"
        if dims[1] is None
        else "export the model with an input [N, C, H, W] or [N, H, W, C] with so many channels",
    )


class EnterImage(Pass):
    """Lets the graph take ``[batch, C, H, W]`` in float32. Raises ModelError where the input is no image."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Record how to feed the model as it was given in the findings."""
        findings = findings_of(model)
        image = model.graph.inputs[0]
        findings.source_input = source_input(
            image, findings.request.size, findings.constants, findings.request.channels
        )
        _enter(model.graph, image, findings.source_input, findings.notes)
        return ir.passes.PassResult(model, modified=True)


def _enter(graph: ir.Graph, image: ir.Value, source: SourceInput, notes: list[str]) -> None:
    """Write the nodes that lead from a float32 image to the model's own input."""
    image.shape = ir.Shape([source.batch, *source.shape])
    image.type = ir.TensorType(ir.DataType.FLOAT)
    op = Op(graph, "image", before=next(iter(graph), None))
    value, users = image, list(image.uses())
    if source.pixels:
        notes.append("the model takes uint8 pixels: it gets image · 255, not rounded")
        value = op.Mul(value, 255.0)
    if source.dtype not in (ir.DataType.FLOAT, ir.DataType.UINT8):
        value = op.Cast(value, to=source.dtype)
    if source.channels_last:
        notes.append("the model takes [N, H, W, C]: a Transpose leads to it")
        value = op.Transpose(value, perm=[0, 2, 3, 1])
    for use in users:
        use.node.replace_input_with(use.idx, value)
