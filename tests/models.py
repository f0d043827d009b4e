"""Small models and manifests that tests in several folders build on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import (
    ABI,
    FORMAT,
    Exporter,
    FileEntry,
    GraphEntry,
    Manifest,
    MethodSpec,
    ModelInfo,
    SelfTest,
    Verification,
)
from gagrad_edge.output import OutputSpec

if TYPE_CHECKING:
    import onnx

SIZE = (24, 32)
"""Height and width of the tiny model's input."""

CLASSES = ("ok", "scratch", "dent")

MEMBERS: dict[str, bytes] = {
    "graphs/accumulate.onnx": b"accumulate",
    "graphs/combine.onnx": b"combine",
    "graphs/finalize.onnx": b"finalize",
    "graphs/maps.onnx": b"maps",
    "graphs/predict.onnx": b"predict",
    "graphs/recover.onnx": b"recover",
    "selftest/frame.png": b"frame",
    "selftest/saliency.npy": b"",
}
"""Members that a bundle container takes and no engine could run."""


def tiny_model() -> onnx.ModelProto:
    """Return a classifier ``[N, 3, 24, 32] → [N, 3]`` with a softmax tail and fixed random weights."""
    import onnx
    from onnx import numpy_helper, parser

    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        tiny (float[N, 3, 24, 32] x) => (float[N, 3] probabilities) {
            a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
            b = Relu (a)
            c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
            d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c, w2, b2)
            e = GlobalAveragePool (d)
            f = Flatten (e)
            scores = Gemm (f, w3, b3)
            probabilities = Softmax <axis = 1> (scores)
        }
    """)
    rng = np.random.default_rng(7)
    shapes = {"w1": (4, 3, 3, 3), "b1": (4,), "w2": (6, 4, 3, 3), "b2": (6,), "w3": (6, 3), "b3": (3,)}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    onnx.checker.check_model(model)
    return model


def build_spec(height: int, width: int, **fields: Any) -> InputSpec:
    """Return an InputSpec with neutral mean and std."""
    channels = 1 if fields.get("colour") == "mono" else 3
    neutral: dict[str, Any] = {"colour": "rgb", "mean": [0.0] * channels, "std": [1.0] * channels}
    return InputSpec(height=height, width=width, **(neutral | fields))


def plain_manifest(**fields: Any) -> Manifest:
    """Return a valid manifest for ``MEMBERS``; ``fields`` replace its own."""
    values: dict[str, Any] = {
        "format": FORMAT,
        "abi": ABI,
        "name": "part",
        "created": "2026-01-01T00:00:00Z",
        "exporter": Exporter(name="gagrad-edge", version="0.1.0"),
        "model": ModelInfo(name="m.onnx", sha256="0" * 64, source="onnx", opset=20, operators={"Relu": 1}),
        "input": InputSpec(height=24, width=32, colour="rgb", mean=[0.5, 0.5, 0.5], std=[0.25, 0.5, 1.0]),
        "output": OutputSpec(name="scores", shape=[3], activation="softmax", classes=list(CLASSES)),
        "method": MethodSpec(samples=6, chunk=4),
        "graphs": [
            GraphEntry(role="predict", file="graphs/predict.onnx"),
            GraphEntry(role="accumulate", file="graphs/accumulate.onnx"),
            GraphEntry(role="combine", file="graphs/combine.onnx"),
            GraphEntry(role="finalize", file="graphs/finalize.onnx"),
            GraphEntry(role="maps", file="graphs/maps.onnx"),
            GraphEntry(role="recover", file="graphs/recover.onnx"),
        ],
        "selftest": SelfTest(
            frame="selftest/frame.png",
            saliency="selftest/saliency.npy",
            target=[0],
            score=1.0,
            magnitude=1.0,
            samples=6,
            seed=0,
            tolerance=1e-3,
            agreement=0.995,
        ),
        "verification": Verification(
            reference="autograd",
            gradient_error=1e-6,
            gradient_error_worst=1e-5,
            gradient_tolerance=1e-4,
            forward_error=0.0,
            forward_tolerance=1e-3,
            batch_error=0.0,
        ),
        "files": {name: FileEntry(size=len(data), sha256="0" * 64) for name, data in MEMBERS.items()},
    }
    return Manifest(**(values | fields))
