"""The layers of networks as factories have them; docs/feature-layers.md has more."""

from __future__ import annotations

import pytest

from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.canonicalise import canonicalise
from gagrad_export.load.torch_module import load_torch_module
from tests.export.feature_networks import NETWORKS, SIZE, SIZES, feature_network

SCALES = [(16, 16), (8, 8), (4, 4)]
EXPECTED: dict[str, list[tuple[int, int]]] = {
    "U-Net": [(128, 128)],
    "pyramid, class rows": SCALES,
    "pyramid, heads of one convolution": SCALES,
    "pyramid, boxes and classes": SCALES,
    "SSD head": SCALES,
    "DETR": [(8, 8)],
    "text line (CRNN)": [(1, 32)],
    "anomaly: autoencoder": [],
    "anomaly: teacher and student": [(32, 32), (16, 16), (8, 8)],
    "anomaly: memory of patches": [(16, 16)],
}
"""Grids, (height, width)."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_layers_of_each_kind_of_network(name: str) -> None:
    """Each scale of a detector, the last map of a segmenter, the tokens that queries read, or none."""
    module = feature_network(name)
    proto = load_torch_module(module, name="m", input_shape=(3, *SIZES.get(name, SIZE))).model
    chosen = choose_feature_layers(canonicalise(proto), "auto")
    assert [(layer.height, layer.width) for layer in chosen.layers] == EXPECTED[name]
    assert all(layer.features > 1 for layer in chosen.layers)
    if not chosen.layers:
        assert "beside every map of features" in chosen.why


@pytest.mark.slow
def test_the_heads_of_a_scale_read_one_map() -> None:
    """With boxes, the map that both heads read; with classes alone, the last one of the class head."""
    names = {}
    for kind in ("pyramid, class rows", "pyramid, boxes and classes"):
        proto = load_torch_module(feature_network(kind), name="m", input_shape=(3, *SIZE)).model
        model = canonicalise(proto)
        layers = choose_feature_layers(model, "auto").layers
        readers = [
            sum(layer.name in [v.name for v in node.inputs if v] for node in model.graph) for layer in layers
        ]
        names[kind] = readers
    assert names["pyramid, class rows"] == [1, 1, 1]  # a class convolution
    assert names["pyramid, boxes and classes"] == [3, 3, 2]  # two heads, and the next scale but for the last
