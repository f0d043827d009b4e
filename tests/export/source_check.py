"""Compare a canonical model with the model as it was given, row by row in ONNX Runtime."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_export import export
from gagrad_export.assemble import predict_graph
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.load import Source
from gagrad_export.settings import input_spec
from gagrad_export.verify.source import forward_error
from tests.export.networks import tensorrt_refuses

if TYPE_CHECKING:
    import torch

ROWS = 3
FREE = {"image": {0: "n"}, "scores": {0: "n"}}
"""``axes`` of an export with a free batch."""


def model_of(text: str, *, opset: int = 18, ir_version: int = 8, **weights: np.ndarray) -> onnx.ModelProto:
    """Return the model ``text`` (signature and body), with ``weights`` as its initializers."""
    model = parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {opset}]> m {text}')
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


def legacy_export(
    module: torch.nn.Module,
    size: int,
    *,
    batch: int = 1,
    axes: dict[str, dict[int, str]] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """Export with torch's older exporter, as most files that people have were; ``axes`` are free."""
    import torch

    stream = io.BytesIO()
    torch.manual_seed(0)
    with warnings.catch_warnings():  # that it is the older exporter
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.randn(batch, 3, size, size),),
            stream,
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes=axes,
        )
    return onnx.load_from_string(stream.getvalue())


def exported(proto: onnx.ModelProto, folder: Path, **options: Any) -> Bundle:
    """Export ``proto`` the whole way, with all its proofs; assert that TensorRT builds both big graphs."""
    onnx.save(proto, folder / "m.onnx")
    export(folder / "m.onnx", folder / "m.gagrad", **options)
    bundle = read_bundle(folder / "m.gagrad")
    for role in ("predict", "accumulate"):
        assert tensorrt_refuses(bundle.graph(role)) == ""
    return bundle


def check_rows(proto: onnx.ModelProto, *, tolerance: float = 1e-5, **options: Any) -> Canonical:
    """Canonicalise ``proto``; assert that each row of a batch is what the source computes for it."""
    canonical = canonicalise(proto, **options)
    spec = input_spec(canonical, mean=None, std=None)
    session = onnxruntime.InferenceSession(predict_graph(canonical, spec).complete())
    pixels = np.random.default_rng(3).integers(0, 256, (ROWS, *canonical.input_shape))
    images = pixels.astype(np.float32) / np.float32(255)
    (scores,) = session.run(None, {"image": images})
    assert scores.shape == (ROWS, *canonical.score_shape)
    assert np.abs(scores).max() > 0
    source = Source(proto, "m", "0" * 64, "onnx")
    for image, row in zip(images, scores, strict=True):
        assert forward_error(source, canonical, image[None], row) <= tolerance
    return canonical
