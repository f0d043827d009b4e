"""``predict`` and ``cam`` in the forms that share one forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import gagrad_runtime
from gagrad_edge.abi import FEATURES, feature_name
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import BundleError
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import FeatureLayer, GraphKey, decode_manifest, encode_manifest
from gagrad_export import export
from gagrad_export.assemble.bundle_graphs import activation_graphs
from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.assemble.passing import passing
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.verify import class_activation
from tests.coarse_network import Coarse
from tests.export.networks import tensorrt_refuses
from tests.models import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

SPEC = InputSpec(height=64, width=96, colour="rgb", mean=[0.5] * 3, std=[0.25] * 3)
COTANGENT = np.array([[0, 1, -1, 0]], np.float32)


class TwoScales(Coarse):
    """Scores from two maps, as a detector's heads have them; neither lies in front of the other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 64, 96] → [N, 4]."""
        fine = self.stem(x)
        late = self.tail(fine)
        scores: torch.Tensor = self.head(late.mean((2, 3)))
        return scores + self.block(fine).amax((2, 3))[:, :4]


class Past(Coarse):
    """Scores that depend on the image itself, too, and not on a few numbers of it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 64, 96] → [N, 4]."""
        scores: torch.Tensor = super().forward(x)
        return scores + (x * scores[:, :1, None, None]).mean((1, 2, 3))[:, None]


def canonical(kind: type[Coarse]) -> Canonical:
    torch.manual_seed(0)
    return canonicalise(load_torch_module(kind().eval(), name="shared", input_shape=(3, 64, 96)).model)


def ran(graph: GraphFile, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph.complete())
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def layers(model: Canonical) -> tuple[tuple[FeatureLayer, ...], FeatureLayer | None]:
    chosen = choose_feature_layers(model, "auto")
    assert chosen.layers
    return tuple(chosen.layers), chosen.finer


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "finer"), [(Coarse, True), (Coarse, False), (TwoScales, False)])
def test_the_maps_are_those_of_the_whole_graph(kind: type[Coarse], finer: bool) -> None:
    """Scores and maps of each row, at one layer, with a finer one, and at two layers."""
    model = canonical(kind)
    at, finest = layers(model)
    graphs = activation_graphs(model, SPEC, at, finest if finer else None)
    image = np.random.default_rng(1).uniform(0, 1, (3, 3, 64, 96)).astype(np.float32)
    whole = ran(graphs[GraphKey("cam")], {"image": image, "cotangent": COTANGENT})
    first = ran(graphs[GraphKey("predict", FEATURES)], {"image": image})
    np.testing.assert_allclose(first.pop("scores"), whole.pop("scores"), rtol=1e-5, atol=1e-6)
    assert list(first) == [feature_name(i) for i in range(1 if finer else len(at))]
    second = ran(graphs[GraphKey("cam", FEATURES)], {**first, "cotangent": COTANGENT})
    assert second.keys() == whole.keys()
    for name, maps in whole.items():
        assert maps.max() > 0
        np.testing.assert_allclose(second[name], maps, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_second_graph_is_what_lies_behind() -> None:
    """None of the network in front of the layer is in it; TensorRT builds both."""
    model = canonical(Coarse)
    at, _ = layers(model)
    graphs = activation_graphs(model, SPEC, at)
    whole, behind = (
        onnx.load_from_string(graphs[GraphKey("cam", variant)].data).graph for variant in ("", FEATURES)
    )
    assert sum(node.op_type == "Conv" for node in whole.node) == 5
    assert sum(node.op_type == "Conv" for node in behind.node) < 3
    for role in ("predict", "cam"):
        assert tensorrt_refuses(graphs[GraphKey(role, FEATURES)]) == ""


def test_a_way_past_the_layer_needs_the_image() -> None:
    """Then there is no pair, and ``cam`` takes the image: of a layer that was asked for by name."""
    model = canonical(Past)
    chosen = choose_feature_layers(model, "tanh_4")
    assert list(activation_graphs(model, SPEC, chosen.layers, chosen.finer)) == [GraphKey("cam")]


class Around(Coarse):
    """Scores that also depend on a few numbers that pass beside the layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 64, 96] → [N, 4]."""
        few = torch.tanh(self.stem(x)).mean((2, 3))[:, :4]
        scores: torch.Tensor = super().forward(x)
        return scores + torch.tanh(few + scores)


class AroundLarge(Coarse):
    """Scores that also depend on a whole map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, 64, 96] → [N, 4]."""
        many = torch.tanh(self.stem(x))
        scores: torch.Tensor = super().forward(x)
        return scores + torch.tanh(many * scores[:, :1, None, None]).mean((2, 3))[:, :4]


def test_what_reaches_the_scores_past_the_layer_passes_too() -> None:
    """A few numbers beside the activations; the maps are those of the whole graph."""
    model = canonical(Around)
    chosen = choose_feature_layers(model, "tanh_7")
    passed = passing(model, chosen.layers)
    assert len(passed) == 2
    assert passed[0].name == "tanh_7"
    assert len(passed[1].shape) == 1
    image = np.random.default_rng(1).uniform(0, 1, (3, 3, 64, 96)).astype(np.float32)
    graphs = activation_graphs(model, SPEC, chosen.layers)
    whole = ran(graphs[GraphKey("cam")], {"image": image, "cotangent": COTANGENT})
    first = ran(graphs[GraphKey("predict", FEATURES)], {"image": image})
    np.testing.assert_allclose(first.pop("scores"), whole.pop("scores"), rtol=1e-5, atol=1e-6)
    assert list(first) == [feature_name(0), feature_name(1)]
    second = ran(graphs[GraphKey("cam", FEATURES)], {**first, "cotangent": COTANGENT})
    assert whole["cams"].max() > 0
    np.testing.assert_allclose(second["cams"], whole["cams"], rtol=1e-4, atol=1e-6)


def test_much_more_than_the_activations_is_not_held() -> None:
    """A map of many times their size would stay on the device between two questions."""
    model = canonical(AroundLarge)
    chosen = choose_feature_layers(model, "tanh_7")
    assert passing(model, chosen.layers) == ()
    assert list(activation_graphs(model, SPEC, chosen.layers)) == [GraphKey("cam")]


@pytest.mark.slow
def test_tokens_pass_with_the_residual_stream(tmp_path: Path) -> None:
    """A vision transformer's feature layer is behind a normalisation; the manifest says what passes."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=3).eval()
    manifest = export(network, tmp_path / "vit.gagrad", size=(32, 32), mean=[0.5], std=[0.5]).manifest
    assert manifest.model.feature_layer is not None
    assert manifest.model.feature_layer.layout == "tokens"
    assert manifest.model.passed == [[5, 192], [5, 192]]
    assert manifest.variants("cam") == ["", FEATURES]
    frame = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    with gagrad_runtime.load(tmp_path / "vit.gagrad", device="cpu", trial=False) as explainer:
        assert explainer._work.graphs.shared_pass == FEATURES
        found = explainer.explain(frame, method="grad-cam", guide=None).saliency
        explainer._work.graphs.shared_pass = ""
        expected = explainer.explain(frame, method="grad-cam", guide=None).saliency
        assert expected.max() == 1
        np.testing.assert_allclose(found, expected, atol=1e-5)
    bundle = read_bundle(tmp_path / "vit.gagrad")
    for role in ("predict", "cam"):
        assert tensorrt_refuses(bundle.graph_file(GraphKey(role, FEATURES))) == ""


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        ([[1 << 14, 1 << 13]], "numbers in what passes"),
        ([[1 << 13, 1 << 12]] * 3, "numbers in what passes"),
        ([[0, 4]], "passed"),
        ([[1, 1, 1, 1, 1]], "passed"),
        ([[4]] * 65, "passed"),
    ],
)
def test_a_manifest_that_passes_too_much_is_refused(
    tmp_path: Path, passed: list[list[int]], said: str
) -> None:
    """Sizes are bounded before anything is allocated for them."""
    onnx.save(tiny_model(), tmp_path / "tiny.onnx")
    manifest = export(tmp_path / "tiny.onnx", tmp_path / "tiny.gagrad").manifest
    assert manifest.model.passed is msgspec.UNSET
    changed = msgspec.json.decode(encode_manifest(manifest))
    assert "passed" not in changed["model"]
    changed["model"]["passed"] = passed
    with pytest.raises(BundleError, match=said):
        decode_manifest(msgspec.json.encode(changed), where="m")


def test_a_pair_that_computes_something_else_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a note that says by how much it was off; the bundle's maps stay."""
    onnx.save(tiny_model(), tmp_path / "tiny.onnx")
    assert export(tmp_path / "tiny.onnx", tmp_path / "right.gagrad").manifest.variants("cam") == [
        "",
        FEATURES,
    ]
    run: Any = class_activation._run

    def shifted(graph: GraphFile, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs: dict[str, np.ndarray] = run(graph, inputs)
        return outputs if "image" in inputs else {name: 1.1 * maps for name, maps in outputs.items()}

    monkeypatch.setattr(class_activation, "_run", shifted)
    manifest = export(tmp_path / "tiny.onnx", tmp_path / "wrong.gagrad").manifest
    assert manifest.variants("cam") == manifest.variants("predict") == [""]
    assert any(
        "a forward pass of its own: with a shared one it is off by 1" in one for one in manifest.model.notes
    )
