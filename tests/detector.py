"""A small detector with anchors on a grid, as a model and as a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

HEIGHT, WIDTH, STRIDE = 64, 96, 8
"""Of the model's image, and the distance between two anchors."""
ROWS, COLUMNS = HEIGHT // STRIDE, WIDTH // STRIDE
ANCHORS = ROWS * COLUMNS
CLASSES = ("scratch", "dent", "stain")
SIDE = 20
"""Side of the square box around each anchor, in pixels of the model's image."""
_GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
detector (float[N, 3, 64, 96] x) => (float[N, 3, 96] chances, float[N, 96, 4] boxes) {
    a = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (x)
    b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a, near, zeros)
    c = Mul (b, b)
    d = Add (b, c)
    e = Conv <kernel_shape = [1, 1]> (d, head, bias)
    scores = Reshape (e, rows)
    chances = Sigmoid (scores)
    f = GlobalAveragePool (x)
    g = ReduceMean <keepdims = 1> (f, channels)
    h = Reshape (g, one)
    i = Mul (h, still)
    boxes = Add (i, corners)
}
"""


def detector() -> onnx.ModelProto:
    """Return a detector of coloured marks: red is a scratch, green a dent, blue a stain."""
    import onnx
    from onnx import numpy_helper, parser

    near = np.zeros((3, 3, 3, 3), np.float32)
    for colour in range(3):
        near[colour, colour], near[colour, (colour + 1) % 3] = 0.02, -0.02
        near[colour, colour, 1, 1], near[colour, (colour + 1) % 3, 1, 1] = 0.84, -0.84
    across, down = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    x, y = ((places.reshape(-1) + 0.5) * STRIDE for places in (across, down))
    half = SIDE / 2
    values: dict[str, Any] = {
        "near": near,
        "zeros": np.zeros(3, np.float32),
        "head": (8 * np.eye(3, dtype=np.float32) - 1).reshape(3, 3, 1, 1),
        "bias": np.array([-4, -4.5, -5], np.float32),
        "corners": np.stack([x - half, y - half, x + half, y + half], 1)[None].astype(np.float32),
        "still": np.zeros((1, 1, 1), np.float32),  # boxes hang on the image for its batch only
        "rows": np.array([0, 3, ANCHORS]),
        "one": np.array([-1, 1, 1]),
        "channels": np.array([1]),
    }
    model = parser.parse_model(_GRAPH)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model)


def write_detector(path: Path) -> Path:
    """Write the bundle of ``detector`` to ``path``, by the real exporter."""
    import onnx

    from gagrad_export import BundleOptions, MethodSpec, OutputOptions, export

    model = path.with_suffix(".onnx")
    onnx.save(detector(), model)
    export(
        model,
        path,
        size=(HEIGHT, WIDTH),
        classes=CLASSES,
        outputs=OutputOptions(layout="boxes=boxes xyxy pixels; scores=chances sigmoid"),
        bundle=BundleOptions(method=MethodSpec(samples=6, chunk=4)),
    )
    return path


def marked(*marks: tuple[int, int, int], size: tuple[int, int] = (2 * HEIGHT, 2 * WIDTH)) -> Any:
    """Return a grey frame, uint8 [h, w, 3], with square marks of (x, y, class) as their middle and colour."""
    frame = np.random.default_rng(3).normal(120, 6, (*size, 1)).repeat(3, axis=2)
    for x, y, kind in marks:
        frame[y - 8 : y + 8, x - 8 : x + 8, kind] += 125
    return np.clip(frame, 0, 255).astype(np.uint8)
