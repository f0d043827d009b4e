"""The table of the graphs' inputs and outputs, and the symbols in its shapes."""

from __future__ import annotations

from typing import get_args

from gagrad_edge.abi import ABI, PERTURBED, STATE, GraphAbi, Sizes, graph_abi
from gagrad_edge.manifest import FeatureLayer, GraphKey, GraphRole
from gagrad_edge.method.perturbation import COLUMNS
from tests.models import plain_manifest


def test_every_role_is_in_the_table() -> None:
    """A role of the manifest without inputs and outputs could not be checked."""
    assert set(ABI) == set(get_args(GraphRole))


def test_a_states_names_go_round() -> None:
    """What ``accumulate`` gives is what it takes; ``combine`` gives what ``finalize`` and ``maps`` take."""
    accumulate = ABI["accumulate"]
    assert [accumulate.inputs[name] for name in STATE] == list(accumulate.outputs.values())[: len(STATE)]
    for role in ("finalize", "maps"):
        assert ABI["combine"].outputs.items() <= ABI[role].inputs.items()  # type: ignore[index]


def test_the_perturbed_variant_has_one_more_input() -> None:
    """One column for each perturbation that is known."""
    plain, perturbed = graph_abi("accumulate"), graph_abi("accumulate", PERTURBED)
    extra = dict(perturbed.inputs.items() - plain.inputs.items())
    assert extra == {"perturbation": ("B", len(COLUMNS))}
    assert perturbed.outputs == plain.outputs
    assert graph_abi("finalize", "pooled") == graph_abi("finalize")


def test_sizes_come_from_the_manifest() -> None:
    """C, H, W, K…, P, h and w are numbers then; N and B stay free."""
    manifest = plain_manifest()
    channels, height, width = manifest.input.shape
    scores = tuple(manifest.output.shape)
    sizes = Sizes.of(manifest)
    assert sizes.fill(ABI["predict"]) == GraphAbi(
        {"image": ("N", channels, height, width)}, {"scores": ("N", *scores)}
    )
    recover = sizes.fill(ABI["recover"])
    assert recover.outputs == {"recovered": (5, channels, height, width), "ratio": (5,)}
    assert sizes.fill(ABI["cam"]).outputs["cams"] == (3, "N", "h", "w")


def test_maps_have_the_size_of_the_feature_layer() -> None:
    """And scores of any number of axes take the place of the one symbol."""
    sizes = Sizes((3, 8, 6), scores=(4, 2, 5), feature=(2, 3))
    cam = sizes.fill(ABI["cam"])
    assert cam.outputs == {"scores": ("N", 4, 2, 5), "cams": (3, "N", 2, 3)}
    assert cam.inputs["cotangent"] == (1, 4, 2, 5)
    assert Sizes((3, 8, 6), scores=()).fill(ABI["predict"]).outputs == {"scores": ("N",)}


def test_a_key_names_one_graph_of_a_bundle() -> None:
    """Equal keys are one key of a mapping, and an entry of the manifest has its own."""
    graphs = {GraphKey("accumulate"): b"plain", GraphKey("accumulate", target="tensorrt"): b"fast"}
    assert graphs[GraphKey("accumulate", "", "portable", "float32")] == b"plain"
    assert len(graphs | {GraphKey("accumulate"): b"again"}) == 2
    manifest = plain_manifest()
    assert [manifest.graph(entry.key) for entry in manifest.graphs] == manifest.graphs
    keys = manifest.keys("tensorrt", "float16")
    assert len(set(keys)) == len(keys) == len({(entry.role, entry.variant) for entry in manifest.graphs})
    assert {(key.target, key.precision) for key in keys} == {("tensorrt", "float16")}


def test_a_layer_is_part_of_the_sizes() -> None:
    """As the manifest states it."""
    import msgspec

    plain = plain_manifest()
    layer = FeatureLayer(name="x", operator="Conv", layout="channels-first", features=4, height=2, width=3)
    model = msgspec.structs.replace(plain.model, feature_layer=layer)
    assert Sizes.of(msgspec.structs.replace(plain, model=model)).feature == (2, 3)
