"""Small detectors of each layout as ONNX graphs, 64×64 images on grids of strides 8, 16 and 32: 84 cells."""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
STRIDES = (8, 16, 32)
CELLS = sum((SIZE // stride) ** 2 for stride in STRIDES)


class Graph:
    """Writes one model: ``g("Conv", "x", "w", kernel_shape=[1, 1])`` returns the name of the output."""

    def __init__(self, seed: int = 3) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def __call__(self, op_type: str, *inputs: object, outputs: int = 1, **attributes: object) -> str:
        """Write a node; arrays and lists of int among the inputs become constants."""
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        made = [f"v{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, names, made, **attributes))
        return made[0]

    def last(self, index: int) -> str:
        """Return the name of another output of the last node."""
        return str(self.nodes[-1].output[index])

    def constant(self, value: object) -> str:
        """Return the name of a constant: int64 from a list, float32 from an array or number."""
        array = np.asarray(value, np.int64 if isinstance(value, list) else np.float32)
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def convolution(self, x: str, inputs: int, outputs: int, stride: int = 1, bias: float = 0.0) -> str:
        """Write a convolution with random weights and windows as large as the stride."""
        weights = self.random.standard_normal((outputs, inputs, stride, stride)) / (inputs**0.5 * stride)
        shifts = self.random.standard_normal(outputs) * 0.3 + bias
        return self("Conv", x, weights, shifts, kernel_shape=[stride, stride], strides=[stride, stride])

    def features(self) -> list[str]:
        """Return three feature maps of 8 channels, of strides 8, 16 and 32."""
        first = self("Tanh", self.convolution("image", 3, 8, 8))
        second = self("Tanh", self.convolution(first, 8, 8, 2))
        return [first, second, self("Tanh", self.convolution(second, 8, 8, 2))]

    def rows(self, count: int, names: list[str] | None = None) -> str:
        """Return ``[N, count, A]`` of all cells."""
        maps = names or [self.convolution(one, 8, count) for one in self.features()]
        return self("Concat", *(self("Reshape", one, [0, count, -1]) for one in maps), axis=2)

    def part(self, value: str, first: int, last: int, axis: int) -> str:
        """Write a Slice."""
        return self("Slice", value, [first], [last], [axis])

    def model(
        self, outputs: dict[str, tuple[object, ...]], metadata: dict[str, str] | None = None
    ) -> onnx.ModelProto:
        """Return the model with ``outputs``: shapes by the names of values, which are renamed ``out_…``."""
        values = []
        for index, (name, shape) in enumerate(outputs.items()):
            target = name if name.isidentifier() and not name.startswith("v") else f"output{index}"
            values.append(helper.make_tensor_value_info(target, TensorProto.FLOAT, shape))
        graph = helper.make_graph(
            self.nodes,
            "detector",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
            values,
            self.tensors,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        helper.set_model_props(made, metadata or {})
        onnx.checker.check_model(made)
        return made

    def named(self, value: str, name: str) -> None:
        """Write an Identity that gives an output its name."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))


def cells() -> tuple[np.ndarray, np.ndarray]:
    """Return ``[1, 2, A]``, the cells' column and row, and ``[1, 1, A]``, their strides."""
    places, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : SIZE // stride, 0 : SIZE // stride]
        places.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full(x.size, stride))
    return np.concatenate(places, axis=1)[None], np.concatenate(strides)[None, None]


def centre_and_size(g: Graph, raw: str) -> str:
    """Return ``[N, 4, A]``, centre and size in pixels, from offsets ``[N, 4, A]``."""
    places, strides = cells()
    centre = g("Mul", g("Add", g("Sigmoid", g.part(raw, 0, 2, 1)), places), strides)
    size = g("Mul", g("Exp", g.part(raw, 2, 4, 1)), strides)
    return g("Concat", centre, size, axis=1)


def yolov8(classes: int = 3, more: int = 0, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """``[N, 4 + K + more, A]``: centre and size, probabilities, and what belongs to masks or keypoints."""
    g = Graph()
    raw = g.rows(4 + classes + more)
    parts = [centre_and_size(g, raw), g("Sigmoid", g.part(raw, 4, 4 + classes, 1))]
    parts += [g.part(raw, 4 + classes, 4 + classes + more, 1)] if more else []
    g.named(g("Concat", *parts, axis=1), "output0")
    return g.model({"output0": ("N", 4 + classes + more, CELLS)}, metadata)


def yolov5(classes: int = 3, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """``[N, 3·A, 5 + K]``: three anchors for each cell, an objectness, one sigmoid over all."""
    g = Graph()
    columns, levels = 5 + classes, []
    for one, stride in zip(g.features(), STRIDES, strict=True):
        side = SIZE // stride
        raw = g("Reshape", g.convolution(one, 8, 3 * columns), [0, 3, columns, side * side])
        y = g("Sigmoid", g("Transpose", raw, perm=[0, 1, 3, 2]))
        rows, places = np.mgrid[0:side, 0:side]
        grid = np.stack([places.ravel(), rows.ravel()], axis=1)[None, None]
        anchors = np.array([[1, 1], [1, 2], [2, 1]])[None, :, None] * stride
        centre = g("Mul", g("Add", g("Mul", g.part(y, 0, 2, 3), 2.0), grid - 0.5), float(stride))
        doubled = g("Mul", g.part(y, 2, 4, 3), 2.0)
        size = g("Mul", g("Mul", doubled, doubled), anchors)
        whole = g("Concat", centre, size, g.part(y, 4, columns, 3), axis=3)
        levels.append(g("Reshape", whole, [0, 3 * side * side, columns]))
    g.named(g("Concat", *levels, axis=1), "output")
    return g.model({"output": ("N", 3 * CELLS, columns)}, metadata)


def yolox(classes: int = 3, *, decode: bool = False) -> onnx.ModelProto:
    """``[N, A, 5 + K]``: boxes as offsets and logarithms or decoded, objectness and classes joined."""
    g = Graph()
    maps = []
    for one in g.features():
        parts = [g.convolution(one, 8, 4), *(g("Sigmoid", g.convolution(one, 8, n)) for n in (1, classes))]
        maps.append(g("Concat", *parts, axis=1))
    raw = g.rows(5 + classes, maps)
    if decode:
        raw = g("Concat", centre_and_size(g, raw), g.part(raw, 4, 5 + classes, 1), axis=1)
    g.named(g("Transpose", raw, perm=[0, 2, 1]), "output")
    return g.model({"output": ("N", CELLS, 5 + classes)})


def detr(classes: int = 3, metadata: dict[str, str] | None = None, bias: float = 0.0) -> onnx.ModelProto:
    """``logits [N, Q, C]`` and ``pred_boxes [N, Q, 4]``: centre and size in 0..1; ``bias`` is the last's."""
    g = Graph()
    features = g.features()[1]
    shift = np.zeros((1, classes, 1, 1))
    shift[0, -1] = bias
    for name, value, count in (
        ("logits", g("Add", g.convolution(features, 8, classes), shift), classes),
        ("pred_boxes", g("Sigmoid", g.convolution(features, 8, 4, bias=-0.5)), 4),
    ):
        g.named(g("Transpose", g("Reshape", value, [0, count, -1]), perm=[0, 2, 1]), name)
    return g.model({"logits": ("N", 16, classes), "pred_boxes": ("N", 16, 4)}, metadata)


def ssd(classes: int = 4, bias: float = 4.0) -> onnx.ModelProto:
    """``boxes [N, A, 4]``, corners in pixels, and ``scores [N, A, C]`` behind a softmax, background first."""
    g = Graph()
    shift = np.zeros((1, classes, 1))
    shift[0, 0] = bias
    raw = g.rows(4 + classes)
    whole = centre_and_size(g, raw)
    centre, half = g.part(whole, 0, 2, 1), g("Mul", g.part(whole, 2, 4, 1), 0.5)
    corners = g("Concat", g("Sub", centre, half), g("Add", centre, half), axis=1)
    scores = g("Transpose", g("Add", g.part(raw, 4, 4 + classes, 1), shift), perm=[0, 2, 1])
    g.named(g("Transpose", corners, perm=[0, 2, 1]), "boxes")
    g.named(g("Softmax", scores, axis=2), "scores")
    return g.model({"boxes": ("N", CELLS, 4), "scores": ("N", CELLS, classes)})


def end_to_end(classes: int = 3, most: int = 20) -> onnx.ModelProto:
    """``[N, most, 6]``: corners, score and class of the best candidates by TopK, as YOLOv10."""
    g = Graph()
    raw = g.rows(4 + classes)
    whole = centre_and_size(g, raw)
    centre, half = g.part(whole, 0, 2, 1), g("Mul", g.part(whole, 2, 4, 1), 0.5)
    corners = g("Concat", g("Sub", centre, half), g("Add", centre, half), axis=1)
    joined = g("Concat", corners, g("Sigmoid", g.part(raw, 4, 4 + classes, 1)), axis=1)
    rows = g("Transpose", joined, perm=[0, 2, 1])
    boxes, scores = g.part(rows, 0, 4, 2), g.part(rows, 4, 4 + classes, 2)
    best = g("ReduceMax", scores, [2], keepdims=0)
    kind = g("Cast", g("ArgMax", scores, axis=2, keepdims=1), to=TensorProto.FLOAT)
    values = g("TopK", best, [most], axis=1, outputs=2)
    index = g("Unsqueeze", g.last(1), [2])
    chosen = g("GatherElements", boxes, g("Tile", index, [1, 1, 4]), axis=1)
    chosen_kind = g("GatherElements", kind, index, axis=1)
    g.named(g("Concat", chosen, g("Unsqueeze", values, [2]), chosen_kind, axis=2), "output0")
    return g.model({"output0": ("N", most, 6)})


def suppressing(classes: int = 3) -> onnx.ModelProto:
    """Boxes and scores of the candidates that a NonMaxSuppression leaves, as many as there are."""
    g = Graph()
    raw = g.rows(4 + classes)
    whole = centre_and_size(g, raw)
    centre, half = g.part(whole, 0, 2, 1), g("Mul", g.part(whole, 2, 4, 1), 0.5)
    corners = g("Concat", g("Sub", centre, half), g("Add", centre, half), axis=1)
    boxes = g("Transpose", corners, perm=[0, 2, 1])
    scores = g("Sigmoid", g.part(raw, 4, 4 + classes, 1))
    kept = g("NonMaxSuppression", boxes, scores, [50], np.array([0.6]), np.array([0.3]))
    place = g("Concat", g.part(kept, 0, 1, 1), g.part(kept, 2, 3, 1), axis=1)
    g.named(g("GatherND", boxes, place), "detections")
    g.named(g("GatherND", scores, kept), "confidences")
    return g.model({"detections": ("D", 4), "confidences": ("D",)})


def decoding_late(classes: int = 3) -> onnx.ModelProto:
    """Scores are chosen level by level, and boxes computed of the chosen alone, as RetinaNet of torchvision.

    Before the suppression the chosen ones' boxes are the value ``boxes`` and their places ``chosen_0`` to 2.
    """
    g = Graph()
    boxes, scores = [], []
    for level, (one, stride) in enumerate(zip(g.features(), STRIDES, strict=True)):
        raw = g("Reshape", g.convolution(one, 8, 4 + classes), [0, 4 + classes, -1])
        rows = g("Squeeze", g("Gather", g("Transpose", raw, perm=[0, 2, 1]), [0], axis=0), [0])
        flat = g("Reshape", g("Sigmoid", g.part(rows, 4, 4 + classes, 1)), [-1])
        index = g("Squeeze", g("NonZero", g("Greater", flat, 0.5)), [0])
        g.named(g("Div", index, [classes]), f"chosen_{level}")
        y, x = np.mgrid[0 : SIZE // stride, 0 : SIZE // stride] * stride
        sides = np.full(x.size, stride)
        anchors = np.stack([x.ravel(), y.ravel(), sides, sides], axis=1)
        offsets = g("Gather", g.part(rows, 0, 4, 1), f"chosen_{level}", axis=0)
        anchor = g("Gather", anchors, f"chosen_{level}", axis=0)
        side = g.part(anchor, 2, 4, 1)
        centre = g("Add", g("Mul", g.part(offsets, 0, 2, 1), side), g.part(anchor, 0, 2, 1))
        half = g("Mul", g("Exp", g.part(offsets, 2, 4, 1)), g("Mul", side, 0.5))
        corners = g("Concat", g("Sub", centre, half), g("Add", centre, half), axis=1)
        boxes.append(g("Clip", corners, 0.0, float(SIZE)))
        scores.append(g("Gather", flat, index, axis=0))
    g.named(g("Concat", *boxes, axis=0), "boxes")
    best = g("Concat", *scores, axis=0)
    pair = g("Unsqueeze", "boxes", [0]), g("Unsqueeze", best, [0, 1])
    kept = g("NonMaxSuppression", *pair, [50], np.array([0.6]), np.array([0.3]))
    kept = g("Squeeze", g.part(kept, 2, 3, 1), [1])
    g.named(g("Gather", "boxes", kept, axis=0), "detections")
    g.named(g("Gather", best, kept, axis=0), "confidences")
    return g.model({"detections": ("D", 4), "confidences": ("D",)})


def as_opset_9(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` as opset 9 writes it: with the bounds of a Slice as attributes."""
    bounds = {one.name: numpy_helper.to_array(one).tolist() for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Slice":
            value, *constants = node.input
            for name, constant in zip(("starts", "ends", "axes"), constants, strict=True):
                node.attribute.append(helper.make_attribute(name, bounds[constant]))
            node.ClearField("input")
            node.input.append(value)
    used = {name for node in model.graph.node for name in node.input}
    kept = [one for one in model.graph.initializer if one.name in used]
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept)
    model.opset_import[0].version, model.ir_version = 9, 4
    onnx.checker.check_model(model)
    return model


def ultralytics(task: str, names: int, **more: object) -> dict[str, str]:
    """Return metadata as ultralytics writes them."""
    said = {index: f"kind {index}" for index in range(names)}
    return {"task": task, "names": str(said), "stride": "32", "args": json.dumps(more)}
