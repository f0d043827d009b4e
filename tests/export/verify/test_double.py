"""A file's gradient is verified in float64 where float32 cannot tell: no false alarm, and a sharper one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import VerificationError
from gagrad_edge.manifest import Verification
from gagrad_export import BundleOptions, export
from gagrad_export.assemble import predict_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.differentiate import registry
from gagrad_export.emit import Op
from gagrad_export.settings import input_spec
from gagrad_export.verify import class_activation, gradient
from gagrad_export.verify.double import NotInDoubleError, in_double
from tests.export.source_check import FREE, legacy_export, model_of

GENERATOR = np.random.default_rng(0)
WEIGHTS = {
    "w": 0.3 * GENERATOR.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "head": GENERATOR.standard_normal((4, 2)).astype(np.float32),
}


def verified(folder: Path, body: str, layer: str | None = None, **weights: Any) -> Verification:
    """Export a classifier whose scores ``y [N, 2]`` ``body`` computes; return what its gradient met."""
    values = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    text = f"(float[N, 3, 8, 8] image) => (float[N, 2] y) {{ {body} }}"
    onnx.save(model_of(text, **WEIGHTS, **values), folder / "m.onnx")
    export(folder / "m.onnx", folder / "m.gagrad", bundle=BundleOptions(feature_layer=layer))
    return read_bundle(folder / "m.gagrad").manifest.verification


SMOOTH = (
    """c = Conv (image, w) a = Sigmoid (c) p = GlobalAveragePool (a) f = Flatten (p) s = MatMul (f, head)"""
)
KINKED = SMOOTH.replace("Sigmoid", "Relu")


def not_here(*_: Any, **__: Any) -> Any:
    """Stand for an evaluator that lacks an operator."""
    raise NotInDoubleError


class Windows(nn.Module):
    """Every operator that is replaced, with padding, strides, groups and dilations that differ by axis."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2))
        self.depthwise = nn.Conv2d(8, 16, 3, groups=8)
        self.back = nn.ConvTranspose2d(16, 6, 3, stride=(2, 3), padding=1, output_padding=(1, 2), groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x ``[N, 3, 20, 20]`` → scores ``[N, 6]``."""
        x = nn.functional.max_pool2d(self.first(x), 3, stride=2, padding=1, dilation=(1, 2), ceil_mode=True)
        x = self.back(nn.functional.gelu(self.depthwise(nn.functional.pad(x, (1, 1, 1, 1)))))
        x = nn.functional.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")
        return torch.erf(x).mean((2, 3))


def test_a_network_in_double_is_torchs_to_the_last_digits() -> None:
    """To 1e-8, as the file holds constants in float32, of which GELU's √2 is one."""
    canonical = canonicalise(legacy_export(module := Windows(), 20, axes=FREE), size=(20, 20))
    spec = input_spec(canonical, mean=None, std=None)
    data = predict_graph(canonical, spec)
    x = GENERATOR.random((2, 3, 20, 20))
    expected = module.double()(torch.from_numpy(x)).detach().numpy()
    (single,) = onnxruntime.InferenceSession(data.complete()).run(None, {"image": x.astype(np.float32)})
    errors = [
        np.abs(found - expected).max() / np.abs(expected).max()
        for found in (in_double(data)({"image": x}), single)
    ]
    assert errors[0] < 1e-8
    assert errors[1] > 1e-8


@pytest.mark.parametrize(("mode", "opset"), [("bilinear", 18), ("bicubic", 18), ("linear", 20)])
def test_samples_at_a_grid_in_double(mode: str, opset: int) -> None:
    """Up to opset 19 the modes have names that onnx's evaluator does not know: D-FINE by TorchScript."""
    body = f'y4 = GridSample <mode = "{mode}"> (image, grid) y = ReduceMean <keepdims = 0> (y4, last)'
    text = f"(float[N, 3, 8, 8] image) => (float[N, 3] y) {{ {body} }}"
    grid = GENERATOR.uniform(-1.1, 1.1, (1, 4, 5, 2)).astype(np.float32)
    canonical = canonicalise(model_of(text, opset=opset, ir_version=10, grid=grid, last=np.array([2, 3])))
    data = predict_graph(canonical, input_spec(canonical, mean=None, std=None))
    x = GENERATOR.random((1, 3, 8, 8))
    (single,) = onnxruntime.InferenceSession(data.complete()).run(None, {"image": x.astype(np.float32)})
    np.testing.assert_allclose(in_double(data)({"image": x}), single, atol=1e-6)


@pytest.mark.slow
def test_scores_that_hide_their_change_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a score of 1000, float32 has steps of 6e-5, and all that a short segment changes is 1e-5."""
    body = f"{KINKED} t = Mul (s, small) y = Add (t, far)"
    assert verified(tmp_path, body, small=0.05, far=1000).gradient_error < 5e-3

    monkeypatch.setattr(gradient, "in_double", not_here)
    with pytest.raises(VerificationError, match="is off by"):
        verified(tmp_path, body, small=0.05, far=1000)


@pytest.mark.slow
def test_so_are_class_activations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise, at the layer behind the convolution."""
    body = f"{KINKED} t = Mul (s, small) y = Add (t, far)"
    verified(tmp_path, body, "a", small=0.05, far=1e5)
    monkeypatch.setattr(class_activation, "in_double", not_here)
    with pytest.raises(VerificationError, match="gradient at 'a' is off by"):
        verified(tmp_path, body, "a", small=0.05, far=1e5)


@pytest.mark.slow
def test_a_gradient_below_the_scores_rounding_is_said_to_be_so(tmp_path: Path) -> None:
    """Nothing can confirm it; the message says why, and not that the gradient is wrong."""
    with pytest.raises(VerificationError, match=r"hardly depend on the image.*\n.*trained weights"):
        verified(tmp_path, f"{KINKED} t = Mul (s, small) y = Add (t, far)", small=1e-17, far=1)


@pytest.mark.slow
def test_without_kinks_the_gradient_is_met_to_float32(tmp_path: Path) -> None:
    """A thousand times as sharp as segments across kinks, and judged by a tolerance of its own."""
    evidence = verified(tmp_path, SMOOTH.replace("s = ", "y = "))
    assert evidence.gradient_error < 2e-6
    assert evidence.gradient_tolerance == gradient.SMOOTH_TOLERANCE


@pytest.mark.slow
def test_half_a_per_cent_too_much_is_found_without_kinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of kinks, that would be within tolerance."""

    def wrong(op: Op, node: Any, dy: Any) -> Any:
        y = node.outputs[0]
        return op.Mul(op.Mul(dy, 1.005), op.Mul(y, op.Sub(1.0, y)))

    monkeypatch.setitem(registry._rules, ("", "Sigmoid", 13), registry.Entry(wrong, elementwise=True))
    with pytest.raises(VerificationError, match="is off by"):
        verified(tmp_path, SMOOTH.replace("s = ", "y = "))


@pytest.mark.slow
def test_an_evaluator_that_computes_something_else_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnx's has mistakes; a gradient that disagrees with them would be refused as wrong."""

    def mistaken(self: Any, x: Any) -> Any:
        return (np.tanh(x),)

    monkeypatch.setattr("onnx.reference.ops.op_sigmoid.Sigmoid._run", mistaken)
    evidence = verified(tmp_path, SMOOTH.replace("s = ", "y = "))
    assert evidence.gradient_tolerance == gradient.SEGMENT_TOLERANCE


def test_normalisation_over_channels_in_double(tmp_path: Path) -> None:
    """As many channels as there are, not images."""
    body = "c = Conv (image, w) n = LRN <size = 3, alpha = 0.5> (c) p = GlobalAveragePool (n) f = Flatten (p)"
    x = GENERATOR.random((2, 3, 8, 8))
    model = model_of(
        f"(float[N, 3, 8, 8] image) => (float[N, 4] scores) {{ {body.replace(' f =', ' scores =')} }}",
        **WEIGHTS,
    )
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(
        None, {"image": x.astype(np.float32)}
    )
    np.testing.assert_allclose(
        in_double(GraphFile(model.SerializeToString()))({"image": x}), expected, atol=1e-6
    )
