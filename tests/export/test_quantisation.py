"""Quantised models: the scores are rounded, the gradient passes straight through the rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn
from torch.nn import functional

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import GraphKey
from gagrad_export import BundleOptions, export
from gagrad_export.assemble import accumulate_graph, predict_graph
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.emit import attribute, constant_array, operand
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.quantiser import quantiser
from gagrad_export.verify.float_twin import float_twin
from gagrad_export.verify.sessions import Sessions
from tests.export.networks import tensorrt_refuses

SIZE = (24, 32)
SPEC = InputSpec(height=24, width=32, colour="rgb", mean=[0.5] * 3, std=[0.5] * 3)
# Weights of 7 bits beside uint8: on x86-64 without VNNI, ONNX Runtime's kernel adds pairs of products in 16
# bits, where 255 · 127 twice does not fit, and its scores are then not those of the model as it is written.
KINDS = {
    "symmetric int8": {"activation_type": QuantType.QInt8, "extra_options": {"ActivationSymmetric": True}},
    "asymmetric uint8": {"activation_type": QuantType.QUInt8, "reduce_range": True},
    "weights per channel": {"activation_type": QuantType.QUInt8, "per_channel": True, "reduce_range": True},
    "int16": {"activation_type": QuantType.QInt16, "per_channel": True},
}


class Network(nn.Module):
    """What quantisers meet in vision models: a skip connection, a MaxPool, a Flatten, a Concat."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.down = nn.Conv2d(16, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8 * 6 * 8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 24, 32] → [N, 5]."""
        x = functional.max_pool2d(self.stem(x).relu(), 2)
        x = torch.cat([x + self.body(x).relu(), x], 1)
        scores: torch.Tensor = self.head(self.down(x).relu().flatten(1))
        return scores


def images(seed: int, count: int) -> np.ndarray:
    """Return smooth random images ``[N, 3, 24, 32]`` in 0..1."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(0, 1, (count, 3, 6, 8)).astype(np.float32))
    return functional.interpolate(coarse, SIZE, mode="bilinear").numpy()


class Frames(CalibrationDataReader):  # type: ignore[misc]
    """Calibration data."""

    def __init__(self, name: str) -> None:
        self._left = iter([{name: images(seed, 8) * 2 - 1} for seed in range(8)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch."""
        return next(self._left, None)


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("quantised") / "float.onnx"
    onnx.save(load_torch_module(Network(), name="network", input_shape=(3, *SIZE)).model, path)
    return path


def quantised(float_model: Path, kind: str, form: QuantFormat = QuantFormat.QDQ) -> Path:
    path = float_model.with_name(f"{kind} {form.name}.onnx")
    (name,) = [value.name for value in onnx.load(float_model).graph.input]
    if not path.exists():
        options: dict[str, Any] = KINDS[kind]
        quantize_static(
            float_model, path, Frames(name), quant_format=form, weight_type=QuantType.QInt8, **options
        )
    return path


def sessions(model: Canonical) -> Sessions:
    accumulate, _ = accumulate_graph(model, SPEC)
    return Sessions({GraphKey("predict"): predict_graph(model, SPEC), GraphKey("accumulate"): accumulate})


def gradient(model: Canonical, image: np.ndarray, target: int) -> np.ndarray:
    cotangent = np.eye(1, 5, target, dtype=np.float32)
    state, _ = sessions(model).accumulate(image, np.zeros((1, 3, *SIZE), np.float32), 0.15, cotangent)
    return state.mean


def cosine(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.vdot(one, two) / np.linalg.norm(one) / np.linalg.norm(two))


def plain(path: Path) -> onnxruntime.InferenceSession:
    """Return a session that runs the model as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options)


@pytest.mark.slow
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("kind", ["symmetric int8", "asymmetric uint8", "weights per channel"])
def test_scores_are_the_quantised_models(float_model: Path, kind: str, form: QuantFormat) -> None:
    """In both forms that ONNX Runtime writes; a step of the scores is about 1/200 of their range."""
    path = quantised(float_model, kind, form)
    model = canonicalise(onnx.load(path))
    assert model.straight_through > 5
    assert model.operators["QuantizeLinear"] == model.operators["DequantizeLinear"] == model.straight_through
    image = images(100, 4)
    (expected,) = plain(path).run(None, {plain(path).get_inputs()[0].name: image * 2 - 1})
    scores = sessions(model).predict(image)
    assert np.abs(scores - expected).max() < 0.011 * np.ptp(expected)
    assert np.abs(scores - expected).mean() < 0.002 * np.ptp(expected)


def straight_through(model: Canonical, image: np.ndarray, target: int) -> np.ndarray:
    """Return the gradient by torch's autograd, with quantisers clip(x) + (rounded(x) − clip(x)).detach()."""
    x = torch.from_numpy(image * 2 - 1).requires_grad_()
    values: dict[Any, torch.Tensor] = {model.graph.inputs[0]: x}

    def read(node: Any, index: int) -> torch.Tensor:
        known = constant_array(node.inputs[index])
        return values[node.inputs[index]] if known is None else torch.tensor(known)

    for node in model.graph:
        a = read(node, 0) if node.op_type != "DequantizeLinear" else values[operand(node, 0)]
        if node.op_type == "QuantizeLinear":
            s, low, high = (torch.tensor(getattr(quantiser(node), n)) for n in ("scale", "lowest", "highest"))
            clipped = a.clamp(s * low, s * high)
            y = clipped + (s * (a / s).round().clamp(low, high) - clipped).detach()
        elif node.op_type == "DequantizeLinear":
            y = a
        elif node.op_type == "Conv":
            stride, pads = attribute(node, "strides")[0], attribute(node, "pads")[0]
            y = functional.conv2d(a, read(node, 1), read(node, 2), stride, pads)
        elif node.op_type == "Gemm":
            w = read(node, 1)
            y = functional.linear(a, w if attribute(node, "transB", 0) else w.T, read(node, 2))
        elif node.op_type == "Concat":
            y = torch.cat([a, read(node, 1)], attribute(node, "axis"))
        else:
            y = {
                "Relu": torch.relu,
                "MaxPool": lambda v: functional.max_pool2d(v, 2),
                "Reshape": lambda v: v.flatten(1),
                "Add": lambda v, node=node: v + read(node, 1),
            }[node.op_type](a)
        values[node.outputs[0]] = y
    values[model.graph.outputs[0]][0, target].backward()
    assert x.grad is not None
    return x.grad[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_the_straight_through_one(float_model: Path, kind: str) -> None:
    """Equal to torch's autograd, which rounds forward and clips backward; at its every value."""
    model = canonicalise(onnx.load(quantised(float_model, kind)))
    for seed in range(3):
        image = images(200 + seed, 1)
        found, expected = gradient(model, image, seed), straight_through(model, image, seed)
        assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "least"),
    [("symmetric int8", 0.92), ("asymmetric uint8", 0.93), ("weights per channel", 0.93), ("int16", 0.98)],
)
def test_gradient_is_near_the_float_models(float_model: Path, kind: str, least: float) -> None:
    """As near as the bits leave it: MaxPool meets ties, and rounding the weights alone costs 1 %."""
    exact, model = canonicalise(onnx.load(float_model)), canonicalise(onnx.load(quantised(float_model, kind)))
    for seed in range(4):
        image = images(300 + seed, 1)
        assert cosine(gradient(model, image, seed), gradient(exact, image, seed)) > least


@pytest.mark.slow
def test_without_rounding_it_is_the_float_model(float_model: Path) -> None:
    """The twin by which the gradient is verified: no rounding of activations, only of weights."""
    twin = float_twin(canonicalise(onnx.load(quantised(float_model, "weights per channel"))))
    exact = canonicalise(onnx.load(float_model))
    image = images(400, 1)
    scores, expected = sessions(twin).predict(image), sessions(exact).predict(image)
    assert np.abs(scores - expected).max() < 0.01 * np.ptp(expected)
    assert cosine(gradient(twin, image, 1), gradient(exact, image, 1)) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symmetric int8", "asymmetric uint8"])
def test_a_production_model_is_explained(float_model: Path, kind: str, tmp_path: Path) -> None:
    """From the quantised file to the map and its record, which say that rounding was passed through."""
    import gagrad_runtime
    from gagrad_export.commands import summary
    from gagrad_runtime.report.record import record_of

    path = tmp_path / "part.gagrad"
    options = BundleOptions(perturbations=True)
    report = export(quantised(float_model, kind), path, mean=[0.5], std=[0.5], bundle=options)
    info, evidence = report.manifest.model, report.manifest.verification
    assert info.straight_through == info.operators["QuantizeLinear"] > 5
    assert evidence.reference == "finite-differences"
    assert evidence.gradient_error < 1e-2
    twin = evidence.float_twin
    assert twin is not None
    assert 0.8 < twin.map_correlation < 1
    assert 0.8 < twin.gradient_cosine < 1
    assert 0 < twin.scores_error < 0.2
    assert f"{info.straight_through} quantisers" in summary(report, 1.0)
    bundle = read_bundle(path)
    for role, variant in (("predict", ""), ("accumulate", ""), ("accumulate", "perturbed"), ("cam", "")):
        graph = bundle.graph(GraphKey(role, variant))
        operators = {node.op_type for node in onnx.load_from_string(graph).graph.node}
        assert not {"QuantizeLinear", "DequantizeLinear"} & operators
        assert tensorrt_refuses(graph) == ""
    frame = (images(500, 1)[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    with gagrad_runtime.load(path) as explainer:
        found = explainer.explain(frame, samples=4)
    assert found.saliency.shape == SIZE
    assert found.saliency.max() == 1
    assert record_of(found).method.straight_through == info.straight_through
    assert record_of(found).method.float_twin == twin.map_correlation
