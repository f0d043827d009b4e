"""Class activation maps against pytorch-grad-cam, against numpy, and in TensorRT's builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import parser

from gagrad_edge.abi import FINER_CAMS
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import VerificationError
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import FeatureLayer
from gagrad_edge.method.class_activation import CAMS, class_activation_maps
from gagrad_edge.summary import describe
from gagrad_export import BundleOptions, export
from gagrad_export.assemble import cam_graph
from gagrad_export.assemble.feature_layer import COARSE, choose_feature_layers
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.verify import checks, class_activation
from gagrad_export.verify.gradient import Point, model_input
from gagrad_runtime.sampling.saliency import class_activation_map
from tests.coarse_network import Coarse
from tests.export.class_activation_peer import Lite0WithNamedFeatures, pytorch_grad_cam
from tests.export.networks import network, tensorrt_refuses
from tests.long import all_but
from tests.models import tiny_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layers_of(model: Canonical, choice: str = "auto") -> tuple[FeatureLayer, ...]:
    layers = choose_feature_layers(model, choice).layers
    assert layers
    return layers


def spec_for(height: int, width: int) -> InputSpec:
    return InputSpec(height=height, width=width, colour="rgb", mean=list(MEAN), std=list(STD))


def peers(name: str) -> tuple[torch.nn.Module, torch.nn.Module, int, Any]:
    """Return a network, the layer that pytorch-grad-cam's documentation names for it, size and reshape."""
    if name == "vit_tiny":
        import timm

        torch.manual_seed(0)
        vit: Any = timm.create_model("vit_tiny_patch16_224", img_size=112, depth=3).eval()
        return vit, vit.blocks[-1].norm1, 112, lambda t: t[:, 1:].transpose(1, 2).reshape(len(t), -1, 7, 7)
    module: Any = network(name)
    if name == "efficientnet_lite0":
        module = Lite0WithNamedFeatures(module).eval()
        return module, module.features, 224, None
    return module, module.layer4[-1], 160, None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", all_but(["resnet18", "efficientnet_lite0", "vit_tiny"], "efficientnet_lite0")
)
def test_the_maps_are_pytorch_grad_cams(name: str, golden: Path) -> None:
    """Rank correlation ≥ 0.999 for each method, at the layer chosen by itself, on a photograph."""
    from scipy.stats import spearmanr

    module, layer, size, reshape = peers(name)
    with np.load(golden / "lite0_chelsea.npz") as vectors:
        image = (vectors["image"][:size, :size].transpose(2, 0, 1)[None] / 255).astype(np.float32)
    spec = spec_for(size, size)
    x = model_input(image, spec)
    model = canonicalise(load_torch_module(module, name=name, input_shape=(3, size, size)).model)
    graph = cam_graph(model, spec, layers_of(model))
    target = int(module(torch.from_numpy(x)).argmax())
    _, cams = onnxruntime.InferenceSession(graph.complete()).run(
        None, {"image": image, "cotangent": np.eye(1, 1000, target, dtype=np.float32)}
    )
    expected = pytorch_grad_cam(module, layer, x, target, reshape)
    for method, cam, theirs in zip(CAMS, cams[:, 0], expected, strict=True):
        ours = class_activation_map(cam, (size, size))
        assert theirs.std() > 0.05, f"{method}: their map is flat"
        assert spearmanr(ours.ravel(), theirs.ravel()).statistic >= 0.999, method
    assert tensorrt_refuses(graph) == ""


CHANNELS_LAST = """
    <ir_version: 10, opset_import: ["" : 20]>
    m (float[N, 12, 16, 3] x) => (float[N, 2] y)
    <float[5, 2] v = {1.0, -1.0, 2.0, 0.5, -3.0, 1.0, 0.1, 0.2, 0.7, -0.4},
     float[3, 5] w = {1.0, 0.3, -0.2, 0.4, 0.5, -0.6, 0.1, 0.2, -0.3, 0.5, 1.1, -0.7, 0.9, 0.2, 0.4}>
    {
        a = MatMul (x, w)
        b = Tanh (a)
        c = Mul (b, b)
        axes = Constant <value_ints = [1, 2]> ()
        f = ReduceMean <keepdims = 0> (c, axes)
        y = MatMul (f, v)
    }
"""


@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
def test_each_row_of_a_batch_is_its_own_image(layout: str) -> None:
    """Also where the model has the features last; and the maps do not all vanish."""
    source = tiny_model() if layout == "channels-first" else parser.parse_model(CHANNELS_LAST)
    model = canonicalise(source)
    (layer,) = layers_of(model)
    assert layer.layout == layout
    _, height, width = model.input_shape
    session = onnxruntime.InferenceSession(cam_graph(model, spec_for(height, width), [layer]).complete())
    image = np.random.default_rng(1).uniform(0, 1, (3, 3, height, width)).astype(np.float32)
    cotangent = np.eye(1, model.score_shape[0], 1, dtype=np.float32)
    scores, cams = session.run(None, {"image": image, "cotangent": cotangent})
    assert cams.shape == (3, 3, layer.height, layer.width)
    assert all(cam.max() > 0 for cam in cams)
    for row in range(3):
        alone = session.run(None, {"image": image[row : row + 1], "cotangent": cotangent})
        np.testing.assert_allclose(scores[row : row + 1], alone[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(cams[:, row : row + 1], alone[1], rtol=1e-4, atol=1e-6)


def test_a_bundle_has_the_maps_and_says_where(tiny_bundle: Path) -> None:
    """A bundle has the class-activation graph, and its manifest names the layer."""
    bundle = read_bundle(tiny_bundle)
    layer = bundle.manifest.model.feature_layer
    assert layer is not None
    assert (layer.name, layer.operator, layer.features, layer.height, layer.width) == ("d", "Conv", 6, 12, 16)
    assert bundle.graph("cam") == bundle.members["graphs/cam.onnx"]


@pytest.mark.slow
def test_a_bundle_without_the_maps_says_why(tmp_path: Path) -> None:
    """Because none were asked for, or because no layer lies on every path."""
    import onnx

    onnx.save(tiny_model(), tmp_path / "tiny.onnx")
    without = BundleOptions(feature_layer=None)
    report = export(tmp_path / "tiny.onnx", tmp_path / "tiny.gagrad", bundle=without)
    assert report.manifest.model.feature_layer is None
    assert "cam" not in {graph.role for graph in report.manifest.graphs}
    assert "none were asked for" in report.manifest.model.notes[-1]


@pytest.fixture(scope="module")
def coarse() -> Coarse:
    torch.manual_seed(0)
    return Coarse().eval()


@pytest.mark.slow
def test_the_finer_maps_are_those_of_torch(coarse: Coarse) -> None:
    """The finer layer is the last one with cells of half the sides, and its gradient the whole network's."""
    model = canonicalise(load_torch_module(coarse, name="coarse", input_shape=(3, 64, 96)).model)
    chosen = choose_feature_layers(model, "auto")
    assert [(one.height, one.width) for one in chosen.layers] == [(4, 6)]
    finer = chosen.finer
    assert finer is not None
    assert (finer.height, finer.width, finer.features) == (8, 12, 8)
    spec = spec_for(64, 96)
    image = np.random.default_rng(1).uniform(0, 1, (2, 3, 64, 96)).astype(np.float32)
    cotangent = np.array([[0, 1, -1, 0]], np.float32)
    graph = cam_graph(model, spec, chosen.layers, finer)
    outputs = onnxruntime.InferenceSession(graph.complete()).run(
        None, {"image": image, "cotangent": cotangent}
    )
    x = torch.from_numpy(model_input(image, spec))
    fine = coarse.stem(x)
    features = coarse.tail[0](fine + coarse.block(fine))
    features.retain_grad()
    scores = coarse.head(coarse.tail[1](features).mean((2, 3)))
    (scores * torch.from_numpy(cotangent)).sum().backward()
    expected = class_activation_maps(features.detach().numpy(), features.grad.numpy())
    assert expected.max(axis=(1, 2, 3)).min() > 0
    np.testing.assert_allclose(outputs[2], expected, rtol=2e-4, atol=1e-6)
    alone = onnxruntime.InferenceSession(cam_graph(model, spec, chosen.layers).complete())
    for found, same in zip(outputs, alone.run(None, {"image": image, "cotangent": cotangent}), strict=False):
        np.testing.assert_allclose(found, same, rtol=1e-4, atol=1e-6)
    assert tensorrt_refuses(graph) == ""


def test_a_finer_layer_that_cannot_be_confirmed_is_left_out(
    coarse: Coarse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a note; the other maps stay. A bundle where it is confirmed names the layer."""
    settings: Any = {"size": (64, 96), "mean": list(MEAN), "std": list(STD)}
    with_finer = export(coarse, tmp_path / "with.gagrad", **settings).manifest.model
    assert with_finer.finer_feature_layer is not None
    told = "\n".join(describe(read_bundle(tmp_path / "with.gagrad").manifest))
    assert "and finer" in told
    right = class_activation.verify_class_activation

    def wrong(*given: Any) -> None:
        right(*given)
        if given[-1] == FINER_CAMS:
            raise VerificationError("the maps differ")

    monkeypatch.setattr(checks, "verify_class_activation", wrong)
    without = export(coarse, tmp_path / "without.gagrad", **settings).manifest.model
    assert without.finer_feature_layer is None
    assert without.feature_layer == with_finer.feature_layer
    assert any("no finer class activation maps" in note for note in without.notes)


@pytest.mark.parametrize(("side", "finer"), [(COARSE - 1, True), (COARSE, False)])
def test_layers_that_are_fine_enough_have_none(
    coarse: Coarse, tmp_path: Path, side: int, finer: bool
) -> None:
    """A grid of so many cells along its shorter side, and of one less."""
    path = tmp_path / "x.gagrad"
    export(coarse, path, size=(16 * side, 16 * side + 64), mean=list(MEAN), std=list(STD))
    assert (read_bundle(path).manifest.model.finer_feature_layer is not None) == finer


@pytest.mark.parametrize("wrong", ["gradient", "maps"])
def test_what_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """A rule that is off by a tenth, and maps that are not those of the reference."""
    model = canonicalise(tiny_model())
    layers, spec = layers_of(model), spec_for(24, 32)
    image = np.random.default_rng(1).uniform(0, 1, (1, 3, 24, 32)).astype(np.float32)
    point = Point(image, model_input(image, spec), np.eye(1, 3, 1, dtype=np.float32))
    graph = cam_graph(model, spec, layers)
    class_activation.verify_class_activation(graph, model, spec, layers, point)
    if wrong == "gradient":
        from gagrad_export.assemble import cam

        right = cam.gradients
        monkeypatch.setattr(cam, "gradients", lambda op, *given: [op.Mul(g, 1.1) for g in right(op, *given)])
        graph = cam_graph(model, spec, layers)
    else:
        monkeypatch.setattr(
            class_activation, "class_activation_maps", lambda a, g: class_activation_maps(a, -g)
        )
    with pytest.raises(VerificationError, match="gradient at 'd'" if wrong == "gradient" else "reference"):
        class_activation.verify_class_activation(graph, model, spec, layers, point)


@pytest.mark.parametrize(("own", "right"), [(3e-3, True), (1e-5, False)])
def test_only_the_networks_own_rounding_excuses_other_maps(
    monkeypatch: pytest.MonkeyPatch, own: float, right: bool
) -> None:
    """Maps that differ by 5e-4 pass where the reference differs from itself by more, and only there."""
    model = canonicalise(tiny_model())
    layers, spec = layers_of(model), spec_for(24, 32)
    image = np.random.default_rng(1).uniform(0, 1, (1, 3, 24, 32)).astype(np.float32)
    point = Point(image, model_input(image, spec), np.eye(1, 3, 1, dtype=np.float32))
    graph = cam_graph(model, spec, layers)
    differences = iter([5e-4, own])
    monkeypatch.setattr(class_activation, "_largest", lambda *_: next(differences))
    if right:
        class_activation.verify_class_activation(graph, model, spec, layers, point)
    else:
        with pytest.raises(VerificationError, match="other rounding"):
            class_activation.verify_class_activation(graph, model, spec, layers, point)
