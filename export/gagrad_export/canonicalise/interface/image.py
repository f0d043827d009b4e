"""How the image enters the model: as ``[N, C, H, W]`` float32, whatever the model was exported with.

Before: ``x: uint8 [N, H, W, 3] → …``. After: ``x: float32 [N, 3, H, W] → Mul 255 → Transpose → …``. A model
that starts with uint8 does its own scaling; what it gets is not rounded, so that it has a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.interface.ports import CHANNELS
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class SourceInput:
    """How to feed the model as it was given, to compare it with the canonical one."""

    name: str
    dtype: ir.DataType
    batch: int
    """Rows that the model takes at a time; 1 where it takes any number."""
    fixed_batch: bool
    channels_last: bool
    shape: tuple[int, int, int]
    """(C, H, W)."""
    constants: Mapping[str, NDArray[np.generic]]
    """The other inputs."""

    @property
    def pixels(self) -> bool:
        """Whether the model takes uint8 pixels and does its own normalisation."""
        return self.dtype == ir.DataType.UINT8

    def feed(self, x: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Return the inputs for one model input ``x [1, C, H, W]``, the same for every row."""
        rows = np.repeat(x.transpose(0, 2, 3, 1) if self.channels_last else x, self.batch, axis=0)
        values = np.rint(rows * 255) if self.pixels else rows
        return {self.name: values.astype(self.dtype.numpy()), **self.constants}


def source_input(
    image: ir.Value, size: tuple[int, int] | None, constants: Mapping[str, NDArray[np.generic]]
) -> SourceInput:
    """Return what the model takes, with images of ``size = (H, W)``. Raises ModelError."""
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
    channels_last = dims[1] not in CHANNELS and dims[3] in CHANNELS
    if channels_last:
        dims = [dims[0], dims[3], dims[1], dims[2]]
    batch, channels, *have = dims
    if channels not in CHANNELS:
        raise ModelError(
            f"the model takes {channels or 'an unknown number of'} channels; 1 and 3 are supported",
            where=where,
            hint="export the model with an input [N, C, H, W] or [N, H, W, C] whose C is 1 or 3",
        )
    wanted = size or (have[0], have[1])
    if wanted[0] is None or wanted[1] is None:
        raise ModelError("the model takes images of any size", where=where, hint="say which with `size`")
    if any(one is not None and one != two for one, two in zip(have, wanted, strict=True)):
        height, width = ("any" if dim is None else dim for dim in have)
        raise ModelError(
            f"the model takes images of {height}×{width}, not {wanted[0]}×{wanted[1]}",
            where=where,
            hint="give that size with `size`, or leave `size` out",
        )
    return SourceInput(
        name=image.name or "",
        dtype=image.dtype,
        batch=batch or 1,
        fixed_batch=batch is not None,
        channels_last=channels_last,
        shape=(channels, wanted[0], wanted[1]),
        constants=constants,
    )


def enter_image(graph: ir.Graph, image: ir.Value, source: SourceInput, notes: list[str]) -> None:
    """Let the graph take ``[batch, C, H, W]`` in float32."""
    image.shape = ir.Shape([source.batch, *source.shape])
    image.type = ir.TensorType(ir.DataType.FLOAT)
    op = Op(graph, "image")
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
    graph.sort()
