"""Class activation maps of several scales: against autograd, and as sums over the scales."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import parser

from gagrad_edge.errors import VerificationError
from gagrad_edge.manifest import FeatureLayer
from gagrad_edge.method.class_activation import added_levels, class_activation_maps
from gagrad_export import BundleOptions, export
from gagrad_export.assemble import cam, cam_graph
from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.verify.class_activation import verify_class_activation
from gagrad_export.verify.gradient import Point, model_input
from tests.export.feature_networks import SIZE, feature_network
from tests.export.networks import tensorrt_refuses
from tests.models import build_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPEC = build_spec(*SIZE)
Case = tuple[torch.nn.Module, Canonical, tuple[FeatureLayer, ...]]

# Two scales, the second made from the first: a map of 4×6 and one of 2×3, each with rows of 2 classes.
TWO = """
    <ir_version: 10, opset_import: ["" : 20]>
    two (float[N, 3, 8, 12] x) => (float[N, 2, 30] y)
    <float[2, 3, 2, 2] v = {0.5, -0.2, 0.3, 0.1, 0.4, 0.2, -0.6, 0.3, 0.7, -0.1, 0.2, 0.5,
        -0.3, 0.6, 0.1, 0.2, 0.5, -0.4, 0.3, 0.8, -0.2, 0.1, 0.9, -0.5},
     float[2, 2, 2, 2] w = {0.4, 0.1, -0.3, 0.6, 0.2, 0.5, 0.3, -0.1,
        0.7, -0.2, 0.4, 0.1, 0.3, 0.6, -0.5, 0.2},
     float[2, 2, 1, 1] s = {1.0, -0.5, 0.25, 2.0}, float[2, 2, 1, 1] t = {-1.0, 0.5, 1.5, 0.75}>
    {
        c = Conv <strides = [2, 2]> (x, v)
        a = Relu (c)
        d = Conv <strides = [2, 2]> (a, w)
        b = Relu (d)
        shape = Constant <value_ints = [0, 2, -1]> ()
        p = Conv (a, s)
        q = Conv (b, t)
        p2 = Reshape (p, shape)
        q2 = Reshape (q, shape)
        y = Concat <axis = 2> (p2, q2)
    }
"""


@cache
def case(name: str, choice: str = "auto") -> Case:
    module = feature_network(name)
    model = canonicalise(load_torch_module(module, name="detector", input_shape=(3, *SIZE)).model)
    return module, model, choose_feature_layers(model, choice).layers


def image_of(height: int = SIZE[0], width: int = SIZE[1]) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(0, 1, (1, 3, height, width)).astype(np.float32)


def run(model: Canonical, layers: tuple[FeatureLayer, ...], cotangent: NDArray[np.float32]) -> Any:
    _, height, width = model.input_shape
    graph = cam_graph(model, build_spec(height, width), layers)
    feeds = {"image": image_of(height, width), "cotangent": cotangent}
    return onnxruntime.InferenceSession(graph.complete()).run(None, feeds)


def cotangent_of(model: Canonical, *indices: tuple[int, ...]) -> NDArray[np.float32]:
    result = np.zeros((1, *model.score_shape), np.float32)
    for index in indices:
        result[0][index] = 1
    return result


def rows_of(module: Any, name: str, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the layers, each cut from the one in front of it, and the scores that are made of them."""
    if name.startswith("pyramid"):
        levels = [level.detach().requires_grad_() for level in module.levels(x)]
        rows = [head(level).flatten(2) for head, level in zip(module.scores, levels, strict=True)]
        return levels, torch.cat(rows, 2)
    levels, rows, x = [], [], module.stem(x)
    for down, head in zip(module.down, module.scores, strict=True):
        x = down(x)
        if len(levels) < (2 if name == "SSD head, two layers" else 3):
            x = x.detach().requires_grad_()
            levels.append(x)
        rows.append(head(x).permute(0, 2, 3, 1).reshape(len(x), -1, module.classes))
    return levels, torch.cat(rows, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pyramid, heads of one convolution", "SSD head", "SSD head, two layers"])
@pytest.mark.parametrize("target", ["fine", "coarse", "all"])
def test_several_layers_against_autograd(name: str, target: str) -> None:
    """The maps are those of autograd's gradients with the other layers held, for an anchor and for a sum."""
    two = name == "SSD head, two layers"
    module, model, layers = case("SSD head", "silu_2, silu_3") if two else case(name)
    assert [(layer.height, layer.width) for layer in layers] == [(16, 16), (8, 8), (4, 4)][: len(layers)]
    class_last = name.startswith("SSD")
    anchors = model.score_shape[0 if class_last else 1]
    which = {"fine": [3], "coarse": [anchors - 2], "all": [3, anchors // 4 * 3 + 40, anchors - 2]}[target]
    cotangent = cotangent_of(model, *((i, 2) if class_last else (2, i) for i in which))
    scores, cams = run(model, layers, cotangent)
    levels, expected_scores = rows_of(module, name, torch.from_numpy(image_of()))
    (expected_scores * torch.from_numpy(cotangent)).sum().backward()
    np.testing.assert_allclose(scores, expected_scores.detach().numpy(), rtol=1e-4, atol=1e-5)
    maps = [
        class_activation_maps(
            level.detach().numpy(),
            np.zeros(level.shape, np.float32) if level.grad is None else level.grad.numpy(),
        )
        for level in levels
    ]
    if target != "all":
        expected_level = 0 if target == "fine" else len(layers) - 1
        assert [bool(level.any()) for level in maps] == [i == expected_level for i in range(len(maps))]
    expected = added_levels(maps)
    for ours, theirs in zip(cams, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5 * float(theirs.max()) + 1e-9)
    assert cams.max() > 0


def test_two_layers_by_hand() -> None:
    """The gradient of one score of a 1×1 head is its weights at one cell, and the finer layer's is zero."""
    model = canonicalise(parser.parse_model(TWO))
    layers = choose_feature_layers(model, "auto").layers
    assert [(layer.name, layer.height, layer.width) for layer in layers] == [("a", 4, 6), ("b", 2, 3)]
    cell, weights = 4, np.array([1.5, 0.75], np.float32)  # row 1, column 1 of 2×3; class 1 of t
    _, cams = run(model, layers, cotangent_of(model, (1, 24 + cell)))
    session = onnxruntime.InferenceSession(_with_outputs(("b",)))
    (features,) = session.run(None, {"x": image_of(8, 12)})
    layer_cam = np.zeros((1, 1, 2, 3), np.float32)
    layer_cam[0, 0, 1, 1] = (weights * features[0, :, 1, 1]).sum()
    grad_cam = ((weights / 6)[:, None, None] * features[0]).sum(0)[None, None]
    assert layer_cam.max() > 0
    for method, by_hand in ((2, layer_cam), (0, grad_cam)):
        expected = added_levels([np.zeros((1, 1, 4, 6), np.float32), by_hand])
        np.testing.assert_allclose(cams[method : method + 1], expected, rtol=1e-5, atol=1e-7)


def test_a_sum_of_scores_is_the_sum_of_their_maps() -> None:
    """LayerCAM of two anchors on two scales is the sum of the two maps: no scale is scaled by itself."""
    model = canonicalise(parser.parse_model(TWO))
    layers = choose_feature_layers(model, "auto").layers
    fine, coarse = (1, 9), (1, 24 + 4)
    one, other, both = (
        run(model, layers, cotangent_of(model, *indices))[1][2]
        for indices in ([fine], [coarse], [fine, coarse])
    )
    assert one.max() > 0
    assert other.max() > 0
    np.testing.assert_allclose(both, one + other, rtol=1e-5, atol=1e-7)


def test_levels_keep_their_share() -> None:
    """A map that is enlarged keeps its sum, so a target's parts on all scales have one unit."""
    rng = np.random.default_rng(2)
    fine, coarse = (rng.uniform(0, 1, (3, 2, h, w)).astype(np.float32) for h, w in ((8, 12), (2, 3)))
    coarse[..., 0, :] = coarse[..., 1, :]
    coarse[..., 0] = coarse[..., 1] = coarse[..., 2]
    added = added_levels([fine, coarse])
    assert added.shape == fine.shape
    np.testing.assert_allclose(added.sum((2, 3)), fine.sum((2, 3)) + coarse.sum((2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(added_levels([fine]), fine)


def test_a_map_is_enlarged_to_the_grid_of_the_first() -> None:
    """Resize rounds down, and 3 · 20/3 is less than 20 in float32: no grid may lose its last row."""
    for size in range(1, 65):
        for target in range(size, 161):
            scale = np.float32(cam._scale(size, target))
            assert np.floor(size * float(scale)) == np.floor(np.float32(size) * scale) == target


def test_the_graph_holds_the_model_once() -> None:
    """The two copies that hold the layers become one where they are alike."""
    model = canonicalise(parser.parse_model(TWO))
    layers = choose_feature_layers(model, "auto").layers
    graph = onnx.load_from_string(cam_graph(model, build_spec(8, 12), layers).complete()).graph
    forward = [
        node.name for node in graph.node if node.op_type == "Conv" and node.name[:5] in ("model", "held/")
    ]
    assert len(forward) == 4
    assert len([tensor for tensor in graph.initializer if list(tensor.dims) == [2, 3, 2, 2]]) == 1


@pytest.mark.parametrize("wrong", ["gradient", "maps"])
def test_what_is_wrong_at_one_layer_is_found(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """A gradient that is off at the second layer only, and a layer that is left out of the sum."""
    model, spec = canonicalise(parser.parse_model(TWO)), build_spec(8, 12)
    layers = choose_feature_layers(model, "auto").layers
    point = Point(image_of(8, 12), model_input(image_of(8, 12), spec), cotangent_of(model, (1, 9)))
    verify_class_activation(cam_graph(model, spec, layers), model, spec, layers, point)
    if wrong == "gradient":
        right = cam.gradients
        monkeypatch.setattr(
            cam, "gradients", lambda op, *given: [right(op, *given)[0], op.Mul(right(op, *given)[1], 1.2)]
        )
    else:
        monkeypatch.setattr(cam, "_added", lambda op, levels, layers: levels[0])
    graph = cam_graph(model, spec, layers)
    with pytest.raises(
        VerificationError, match="gradient at 'a', 'b'" if wrong == "gradient" else "reference"
    ):
        verify_class_activation(graph, model, spec, layers, point)


@pytest.mark.slow
def test_a_bundle_names_every_layer(tmp_path: Path) -> None:
    """The manifest has all layers, the summary a line for each, and ``cam`` the largest grid."""
    from gagrad_edge.abi import Sizes
    from gagrad_edge.summary import describe

    onnx.save(parser.parse_model(TWO), tmp_path / "two.onnx")
    manifest = export(tmp_path / "two.onnx", tmp_path / "two.gagrad").manifest
    assert [layer.name for layer in manifest.model.feature_layers] == ["a", "b"]
    assert Sizes.of(manifest).feature == (4, 6)
    lines = [line.strip() for line in describe(manifest)]
    assert "grad-cam     at a (Relu): 2 features, 4 high and 6 wide" in lines
    assert "and          at b (Relu): 2 features, 2 high and 3 wide" in lines
    assert "maps of 2 layers are added" in manifest.model.notes[-1]
    one = BundleOptions(feature_layer="b")
    manifest = export(tmp_path / "two.onnx", tmp_path / "two.gagrad", bundle=one).manifest
    assert [layer.name for layer in manifest.model.feature_layers] == ["b"]


@pytest.mark.slow
def test_tensorrt_takes_the_graph() -> None:
    """TensorRT's builder takes the maps of three scales."""
    _, model, layers = case("pyramid, class rows")
    assert len(layers) == 3
    assert tensorrt_refuses(cam_graph(model, SPEC, layers).complete()) == ""


def _with_outputs(names: tuple[str, ...]) -> bytes:
    proto = parser.parse_model(TWO)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    proto = onnx.shape_inference.infer_shapes(proto)
    del proto.graph.output[:]
    proto.graph.output.extend(info for info in proto.graph.value_info if info.name in names)
    data: bytes = proto.SerializeToString()
    return data
