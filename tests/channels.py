"""Models of many channels, and TIFF files that hold many bands, for tests in several folders."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

LIGHTS = ("top", "left", "right", "ring", "dark", "back")


def lights_model(channels: int = 6, *, last: bool = False, free: bool = False) -> onnx.ModelProto:
    """Return a classifier ``[N, C, 24, 32] → [N, 2]`` with fixed random weights.

    ``last`` puts the channels last, and ``free`` leaves their number open.
    """
    import onnx
    from onnx import numpy_helper, parser

    shape = f"N, 24, 32, {channels}" if last else f"N, {'C' if free else channels}, 24, 32"
    first = "t = Transpose <perm = [0, 3, 1, 2]> (x)" if last else "t = Identity (x)"
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        lights (float[{shape}] x) => (float[N, 2] y) {{
            {first}
            a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t, w1, b1)
            b = Relu (a)
            c = Flatten (b)
            s = Gemm (c, w2, b2)
            y = Softmax <axis = 1> (s)
        }}
    """)
    rng = np.random.default_rng(3)
    for name, dims in {"w1": (4, channels, 3, 3), "b1": (4,), "w2": (4 * 24 * 32, 2), "b2": (2,)}.items():
        values = 0.2 * rng.standard_normal(dims).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    onnx.checker.check_model(model)
    return model


def lights(height: int = 24, width: int = 32, channels: int = 6, kind: Any = np.uint8) -> NDArray[Any]:
    """Return a frame [H, W, C] of noise."""
    top = int(np.iinfo(kind).max)
    return np.random.default_rng(channels).integers(0, top, (height, width, channels), kind)


def tiff(
    *pages: NDArray[Any],
    planar: bool = False,
    deflate: bool = False,
    differences: bool = False,
    order: str = "<",
    **extra: int,
) -> bytes:
    """Return a TIFF of ``pages`` [H, W] or [H, W, C], one strip for each page or band; tags by number.

    Written after TIFF 6.0: ``planar`` stores band after band, ``differences`` is predictor 2.
    """
    data = bytearray((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 0))
    pointer = 4
    for page in pages:
        pixels = page if page.ndim == 3 else page[..., None]
        height, width, channels = pixels.shape
        if differences:
            pixels = np.diff(pixels, axis=1, prepend=np.zeros_like(pixels[:, :1]))
        stored = pixels.astype(pixels.dtype.newbyteorder(order))
        parts = [stored[..., band].tobytes() for band in range(channels)] if planar else [stored.tobytes()]
        parts = [zlib.compress(part) if deflate else part for part in parts]
        offsets = []
        for part in parts:
            offsets.append(len(data))
            data += part + b"\0" * (len(part) % 2)
        tags: dict[int, tuple[int, ...]] = {
            256: (width,),
            257: (height,),
            258: (pixels.dtype.itemsize * 8,) * channels,
            259: (8 if deflate else 1,),
            262: (1,),
            273: tuple(offsets),
            277: (channels,),
            278: (height,),
            279: tuple(map(len, parts)),
            284: (2 if planar else 1,),
            317: (2 if differences else 1,),
        }
        tags |= {int(number): (value,) for number, value in extra.items()}
        entries = b""
        for number, values in sorted(tags.items()):
            packed = struct.pack(f"{order}{len(values)}I", *values)
            if len(packed) > 4:
                packed, data = struct.pack(f"{order}I", len(data)), data + packed
            entries += struct.pack(f"{order}HHI", number, 4, len(values)) + packed
        data[pointer : pointer + 4] = struct.pack(f"{order}I", len(data))
        data += struct.pack(f"{order}H", len(tags)) + entries
        pointer = len(data)
        data += bytes(4)
    return bytes(data)
