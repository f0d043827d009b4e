"""Whole networks: gradient against autograd, every graph in TensorRT's builder, batches row by row."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.manifest import GraphKey, GraphRole
from gagrad_edge.method.reference import State
from gagrad_export import TorchFactory, export
from gagrad_export.verify.sessions import Sessions
from tests.export.networks import (
    TORCH_MODELS,
    lite0,
    network,
    tensorrt_refuses,
    text_direction_model,
)
from tests.long import all_but

SIZE = (32, 32)
"""Few activations, so few of them lie within rounding of a kink; the benchmark prints 224²."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROLES: tuple[GraphRole, ...] = ("predict", "accumulate", "finalize", "recover")


@dataclass(frozen=True)
class Exported:
    """A network and its bundle."""

    module: torch.nn.Module
    bundle: Bundle
    sessions: Sessions


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Export of a network by name, made once per session."""
    folder = tmp_path_factory.mktemp("networks")

    @cache
    def make(name: str) -> Exported:
        module = network(name)
        export(module, folder / f"{name}.gagrad", size=SIZE, mean=MEAN, std=STD)
        bundle = read_bundle(folder / f"{name}.gagrad")
        return Exported(module, bundle, Sessions({GraphKey(role): bundle.graph_file(role) for role in ROLES}))

    return make


def relative(value: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(value - expected) / np.linalg.norm(expected))


@pytest.mark.slow
@pytest.mark.parametrize("batch", all_but([1, 8], 1))
@pytest.mark.parametrize("name", all_but(TORCH_MODELS, "resnet50", "mobilenet_v3_large"))
def test_gradient_equals_autograd(exported: Any, name: str, batch: int) -> None:
    """Relative error ≤ 1e-4, or ≤ 2e-3 where a kink flips, against autograd in float64.

    Where rounding moves an activation over a kink, autograd in float32 is itself up to 1e-2 off: inputs
    at which it misses its own float64 answer are passed over, whatever our graph says there.
    """
    made = exported(name)
    double = copy.deepcopy(made.module).double()
    rng = np.random.default_rng(5)
    image = rng.uniform(0, 1, (1, 3, 8, 8)).astype(np.float32).repeat(4, 2).repeat(4, 3)
    cotangent = np.zeros((1, *made.bundle.manifest.output.shape), np.float32)
    cotangent[0, 7] = 1
    mean, std = (np.reshape(np.float32(values), (1, 3, 1, 1)) for values in (MEAN, STD))
    x = (image - mean) / std
    errors: list[float] = []
    for _ in range(40):
        noise = rng.standard_normal((batch, 3, *SIZE)).astype(np.float32)
        copies = x + noise * (np.float32(0.15) * (x.max() - x.min()))
        expected = autograd(double, copies.astype(np.float64), cotangent)
        if relative(autograd(made.module, copies, cotangent), expected) > 1e-4:
            continue
        state, _ = made.sessions.accumulate(image, noise, 0.15, cotangent)
        errors.append(relative(state.mean, expected.mean(0)))
        errors.append(relative(state.abs_sum, np.abs(expected).sum(0)))
        if len(errors) == 6:
            break
    assert len(errors) == 6, "autograd in float32 does not meet its own float64 at enough inputs"
    # A wrong rule shows at every input, a flipped activation only where it flips.
    assert min(errors) <= 1e-4, errors
    assert max(errors) <= 2e-3, errors


def autograd(module: torch.nn.Module, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
    """Return the gradient of ``(module(x) · cotangent).sum()`` in the precision of ``x``."""
    leaf = torch.from_numpy(x).requires_grad_()
    (module(leaf) * torch.from_numpy(cotangent).to(leaf.dtype)).sum().backward()
    assert leaf.grad is not None
    gradient: np.ndarray = leaf.grad.numpy()
    return gradient


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", all_but(TORCH_MODELS, "resnet50", "mobilenet_v3_large"))
def test_tensorrt_builds_every_graph(exported: Any, name: str, role: str) -> None:
    """TensorRT-RTX builds every graph of each network."""
    assert tensorrt_refuses(exported(name).bundle.graph(role)) == ""


@pytest.mark.slow
def test_the_tensorrt_check_can_fail() -> None:
    """A graph that TensorRT is known to refuse is refused: MaxPool's indices."""
    from onnx import parser

    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        m (float[1, 1, 8, 8] x) => (int64[1, 1, 4, 4] i) {
            y, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        }
    """)
    assert tensorrt_refuses(model.SerializeToString())


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
def test_a_batch_equals_its_rows(exported: Any, batch: int) -> None:
    """Each sample alone, merged by Chan's formula, is the batch."""
    made = exported("resnet18")
    rng = np.random.default_rng(1)
    image, noise = rng.uniform(0, 1, (1, 3, *SIZE)), rng.standard_normal((batch, 3, *SIZE))
    image, noise = image.astype(np.float32), noise.astype(np.float32)
    cotangent = np.eye(1, 1000, 3, dtype=np.float32)
    together, _ = made.sessions.accumulate(image, noise, 0.15, cotangent)
    alone = State.empty((3, *SIZE))
    for row in noise:
        alone, _ = made.sessions.accumulate(image, row[None], 0.15, cotangent, alone)
    assert together.count == alone.count == batch
    assert relative(together.abs_sum, alone.abs_sum) < 1e-5
    if batch > 1:
        assert relative(together.m2, alone.m2) < 1e-4


@pytest.mark.slow
def test_a_paddle_export(tmp_path: Path) -> None:
    """Softmax found at its end, gradient proven by finite differences, all graphs built by TensorRT."""
    path = tmp_path / "cls.gagrad"
    export(text_direction_model(), path, size=(48, 192), mean=[0.5], std=[0.5], classes=["0", "180"])
    bundle = read_bundle(path)
    manifest = bundle.manifest
    assert manifest.output.activation == "softmax"
    assert manifest.verification.reference == "finite-differences"
    assert manifest.verification.gradient_error <= 5e-3
    assert not any(op in manifest.model.operators for op in ("Softmax", "BatchNormalization"))
    for role in ROLES:
        assert tensorrt_refuses(bundle.graph(role)) == ""
    image = np.random.default_rng(0).uniform(0, 1, (2, 3, 48, 192)).astype(np.float32)
    scores = onnxruntime.InferenceSession(bundle.graph("predict")).run(None, {"image": image})[0]
    session = onnxruntime.InferenceSession(str(text_direction_model()))
    expected = session.run(None, {session.get_inputs()[0].name: (image - 0.5) / 0.5})[0]
    softmax = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(softmax, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("photo", all_but(["coffee", "chelsea"], "chelsea"))
def test_lite0_equals_the_authors(golden: Path, lite0_bundle: Path, photo: str) -> None:
    """The whole way, photo to map, against the authors' implementation with real weights.

    ≥ 99.5 % of pixels within 1e-3 and Spearman ≥ 0.9998. RCAP on the authors' own map is theirs to 1e-4.
    From our own map it is within 1 % for coffee. Chelsea's target has a probability of about 1 % on the
    recovered images, where single pixels decide: torch's own autograd run again, ten copies at a time, is
    17 % off there in float32 and in float64, so for it the absolute difference is held. Chelsea's SmoothGrad
    is scaled by one pixel that a flipped kink moves: torch again has 98.9 % of pixels within 1e-3 in float32,
    98.4 % in float64.
    """
    import gagrad_runtime
    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.sampling.rcap import rcap

    with np.load(golden / f"lite0_{photo}.npz") as vectors, gagrad_runtime.load(lite0_bundle) as explainer:
        target, expected = int(vectors["target"]), vectors["gag_p0.85"]
        found = explainer.explain(
            vectors["image"],
            target=target,
            preset="paper",
            samples=20,
            seed=int(vectors["noise_seed"]),
        )
        assert found.predicted.index == (target,)
        np.testing.assert_allclose(found.scores, vectors["logits"], atol=1e-4)
        assert (np.abs(found.saliency - expected) <= 1e-3).mean() >= 0.995
        assert spearman(found.saliency, expected) >= 0.9998
        authors = float(vectors["rcap_p0.85"])
        assert found.rcap.score == pytest.approx(authors, rel=0.01, abs=0.0 if photo == "coffee" else 0.002)
        for method in ("smoothgrad", "vargrad"):
            seed = int(vectors["noise_seed"])
            other = explainer.explain(vectors["image"], target, method=method, samples=20, seed=seed)
            share = 0.98 if (method, photo) == ("smoothgrad", "chelsea") else 0.995
            assert (np.abs(other.saliency - vectors[method]) <= 1e-3).mean() >= share, method
            assert spearman(other.saliency, vectors[method]) >= 0.9998, method
        plain = explainer.explain(vectors["image"], target, method="gradient").saliency
        assert spearman(plain, vectors["vanilla"]) >= 0.9998
        bundle = read_bundle(lite0_bundle)
        sessions = Sessions({GraphKey(role): bundle.graph_file(role) for role in ROLES})
        image = np.ascontiguousarray(vectors["image"].transpose(2, 0, 1)[None]).astype(np.float32) / 255
        recovered, ratio = sessions.recover(image, expected)
        scores = sessions.predict(recovered)
        conf = explainer.reader.confidence(Outputs(scores), Outputs(found.scores[None]), found.target)
        assert rcap(ratio, conf, bundle.manifest.method).score == pytest.approx(authors, rel=1e-4)


@pytest.fixture(scope="session")
def lite0_bundle(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0 at 224² with the golden vectors' normalisation."""
    path = tmp_path_factory.mktemp("lite0") / "lite0.gagrad"
    with np.load(golden / "lite0_coffee.npz") as vectors:
        export(lite0(), path, size=(224, 224), mean=list(vectors["mean"]), std=list(vectors["std"]))
    return path


def spearman(one: np.ndarray, two: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), two.ravel()).statistic)


@pytest.mark.slow
def test_a_network_that_torch_misreads_for_one_image(tmp_path: Path) -> None:
    """BatchNorm and the mean of tokens: torch's autograd is wrong for a batch of one, and right for two."""
    from torch import nn

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.GELU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
            self.head = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.head(self.stem(x).flatten(2).transpose(1, 2).mean(1))
            return scores

    torch.manual_seed(0)
    module = Tokens().eval()
    torch.nn.init.uniform_(module.stem[3].weight, 0.5, 2)
    report = export(module, tmp_path / "tokens.gagrad", size=(24, 24))
    assert report.manifest.verification.gradient_error <= 1e-5


@pytest.mark.slow
def test_attention_over_five_axes(tmp_path: Path) -> None:
    """Windows and heads apart, as in Hiera and NesT: torch's newer exporter cannot write it."""
    from torch import nn

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.head = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            tokens = tokens.reshape(x.shape[0], 4, -1, 3, 4).transpose(2, 3)
            mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
            scores: torch.Tensor = self.head(mixed.transpose(2, 3).reshape(x.shape[0], -1, 12).mean(1))
            return scores

    torch.manual_seed(0)
    report = export(Windows(), tmp_path / "windows.gagrad", size=(16, 16))
    assert report.manifest.verification.gradient_error <= 1e-5


@pytest.mark.slow
def test_factory_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``package.module:factory`` with a state dict; a pickle that would run code is refused."""
    from gagrad_edge.errors import ModelError

    (tmp_path / "factory_under_test.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(4, 2))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import factory_under_test  # type: ignore[import-not-found]

    module = factory_under_test.make()
    torch.save(module.state_dict(), tmp_path / "w.pt")
    out = tmp_path / "m.gagrad"
    report = export(TorchFactory("factory_under_test:make", tmp_path / "w.pt"), out, size=(16, 16))
    assert report.manifest.verification.reference == "autograd"
    assert report.manifest.verification.gradient_error <= 1e-4
    x = np.random.default_rng(0).uniform(0, 1, (2, 3, 16, 16)).astype(np.float32)
    session = onnxruntime.InferenceSession(read_bundle(out).graph("predict"))
    np.testing.assert_allclose(
        session.run(None, {"image": x})[0], module.eval()(torch.from_numpy(x)).detach(), atol=1e-5
    )

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save(Evil(), buffer)
    (tmp_path / "evil.pt").write_bytes(buffer.getvalue())
    for weights in ("evil.pt", "gone.pt", "factory_under_test.py"):
        factory = TorchFactory("factory_under_test:make", tmp_path / weights)
        with pytest.raises(ModelError, match="weights cannot be read"):
            export(factory, tmp_path / "x.gagrad", size=(16, 16))
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "x.gagrad").exists()


@pytest.mark.slow
def test_constants_that_torch_loses(tmp_path: Path) -> None:
    """Two clips behind one value, twice: torch's optimiser keeps one pair of bounds (Gemma's q, k and v)."""

    class Clipped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            low, high = (y.clamp(-bound, bound).clamp(-1, 1) for bound in (0.5, 0.8))
            scores: torch.Tensor = (low * high).mean((2, 3))
            return scores

    torch.manual_seed(0)
    export(Clipped(), tmp_path / "m.gagrad", size=(16, 16))
    assert read_bundle(tmp_path / "m.gagrad").manifest.verification.gradient_error < 1e-5
