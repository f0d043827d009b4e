"""The manifest's schema says no to what cannot be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gagrad_edge.errors import BundleError
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import (
    FeatureLayer,
    GraphEntry,
    GraphKey,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from gagrad_edge.output import OutputSpec
from tests.models import plain_manifest
from tests.runtime.report.test_record import in_order


def test_round_trip() -> None:
    """A manifest that is encoded and decoded is the same."""
    manifest = plain_manifest()
    assert decode_manifest(encode_manifest(manifest), where="x") == manifest


DERIVED: dict[str, Any] = {
    "source": "1" * 64,
    "view": [2, 3],
    "begin": [0, 2],
    "step": [1, -1],
    "axes": [1, 0],
}


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"unknown": 1},
        {"created": None},
        {"graphs": []},
        {"files": {}},
        {"derived": {"0" * 64: DERIVED}},
        {"derived": {"0" * 64: DERIVED | {"axes": [0, 0]}}},
        {"derived": {"0" * 64: DERIVED | {"step": [0, 1]}}},
        {"derived": {"0" * 64: DERIVED | {"begin": [2, 0]}}},
        {"method": {"samples": 1}},
        {"model": {"name": "m"}},
    ],
    ids=str,
)
def test_wrong_fields_are_refused(change: dict[str, Any]) -> None:
    """A manifest with a wrong, missing or unknown field raises BundleError."""
    fields = msgspec.json.decode(encode_manifest(plain_manifest())) | change
    with pytest.raises(BundleError, match="not valid"):
        decode_manifest(msgspec.json.encode(fields), where="x")


def test_a_manifest_of_an_earlier_version_is_read() -> None:
    """It lacks what has been added since with a default; other spaces, orders or doubles are refused."""
    fields = msgspec.json.decode(encode_manifest(plain_manifest()))
    del fields["verification"]["precisions"], fields["input"]["bit_depth"]
    del fields["model"]["further_feature_layers"]
    data = msgspec.json.format(msgspec.json.encode(fields, order="sorted"), indent=2) + b"\n"
    assert decode_manifest(data, where="x") == plain_manifest()
    twice = data.replace(b'  "abi": 1,\n', b'  "abi": 1,\n  "abi": 1,\n')
    assert twice != data
    for other in (data + b"\n", data.replace(b": 1,", b":  1,", 1), msgspec.json.encode(fields), twice):
        with pytest.raises(BundleError, match="canonical"):
            decode_manifest(other, where="x")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": "1"}'])
def test_unreadable_manifest(data: bytes) -> None:
    """Bytes that are no JSON object raise BundleError."""
    with pytest.raises(BundleError, match="not readable"):
        decode_manifest(data, where="x")


def test_input_needs_one_number_per_channel() -> None:
    """Mean and std need one number per channel, and std is not zero."""
    with pytest.raises(ValueError, match="mean"):
        InputSpec(height=1, width=1, colour="rgb", mean=[0.0], std=[1.0] * 3)
    with pytest.raises(ValueError, match="std"):
        InputSpec(height=1, width=1, colour="mono", mean=[0.0], std=[0.0])


def test_a_graph_is_chosen_by_precision_before_target() -> None:
    """What there is not in half is taken in float32; what there is not for the target, in portable form."""
    plain = plain_manifest()
    half = GraphEntry(role="accumulate", file="graphs/half.onnx", precision="float16")
    fast = GraphEntry(role="accumulate", file="graphs/fast.onnx", target="tensorrt")
    hashed = plain.files["graphs/predict.onnx"]
    files = {**plain.files, half.file: hashed, fast.file: hashed}
    manifest = plain_manifest(graphs=[*plain.graphs, half, fast], files=files)
    assert manifest.graph(GraphKey("accumulate")).file == "graphs/accumulate.onnx"
    assert manifest.graph(GraphKey("accumulate", target="tensorrt")) == fast
    assert manifest.graph(GraphKey("accumulate", target="tensorrt", precision="float16")) == half
    assert (
        manifest.graph(GraphKey("finalize", target="tensorrt", precision="float16")).file
        == "graphs/finalize.onnx"
    )


def test_as_many_names_as_classes() -> None:
    """The number of class names is the output's size."""
    with pytest.raises(ValueError, match="class names"):
        OutputSpec(name="y", shape=[3], activation="softmax", classes=["a", "b"])


def test_the_published_schema_is_this_one(root: Path) -> None:
    """docs/manifest.schema.json cannot drift from the code; alternatives have no order."""
    published = msgspec.json.decode((root / "docs/manifest.schema.json").read_bytes())
    assert plain(published) == plain(msgspec.json.schema(Manifest))


def test_a_manifest_without_an_operators_noise_is_read() -> None:
    """A bundle from before there was the preset ``operator`` has no such field."""
    old = msgspec.json.decode(encode_manifest(plain_manifest()))
    del old["method"]["operator"]
    data = msgspec.json.format(msgspec.json.encode(old, order="sorted"), indent=2) + b"\n"
    assert decode_manifest(data, where="part.gagrad").method.operator is None


def plain(schema: dict[str, Any]) -> Any:
    """Return ``schema`` with its keys and its alternatives in order."""
    return in_order(msgspec.json.decode(msgspec.json.encode(schema, order="sorted")))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resize_to": 256}, "belong to resize crop"),
        ({"resize": "letterbox", "crop_ratio": 0.9}, "belong to resize crop"),
        ({"resize": "crop", "crop_ratio": 0.9, "resize_to": 256}, "only one"),
        ({"resize": "crop", "resize_to": 20}, "20 high and 30 wide|shorter side"),
        ({"pad_value": 114}, "stretch pads nothing"),
        ({"resize": "crop", "pad_place": "top-left"}, "belongs to resize letterbox"),
        ({"interpolation": "cubic"}, "need semantics"),
        ({"antialias": True}, "need semantics"),
        ({"semantics": "pil"}, "interpolation of pil is one of nearest, linear"),
        ({"semantics": "torch", "interpolation": "lanczos", "antialias": True}, "torch is one of"),
        ({"semantics": "pil", "interpolation": "linear", "antialias": False}, "always on for pil linear"),
        ({"semantics": "opencv", "interpolation": "cubic", "antialias": True}, "always off for opencv cubic"),
    ],
    ids=str,
)
def test_an_input_that_no_library_makes_is_refused(fields: dict[str, Any], said: str) -> None:
    """Each field says where it belongs, and each library what it can do."""
    with pytest.raises(ValueError, match=said):
        InputSpec(height=21, width=30, colour="mono", mean=[0.0], std=[1.0], **fields)


def test_an_input_of_an_earlier_version_is_what_it_was() -> None:
    """What has been added since is as it was before: no library is named, and padding is black."""
    fields = {"height": 2, "width": 3, "colour": "mono", "mean": [0.0], "std": [1.0], "resize": "crop"}
    spec = msgspec.convert(fields, InputSpec)
    assert (spec.semantics, spec.interpolation, spec.antialias) == (None, None, None)
    assert (spec.resize_to, spec.crop_ratio, spec.pad_value, spec.pad_place) == (None, None, 0, "centre")


@pytest.mark.parametrize(("first", "further"), [(None, 4), (4, 8)])
def test_the_first_feature_layer_has_the_largest_grid(first: int | None, further: int) -> None:
    """Maps of several layers have the grid of the first, so there is one, and no other is larger."""
    layers = {
        size: FeatureLayer(
            name="x", operator="Relu", layout="channels-first", features=2, height=size, width=size
        )
        for size in (first, further)
        if size is not None
    }
    model = plain_manifest().model
    with pytest.raises(ValueError, match="feature layer"):
        msgspec.structs.replace(
            model, feature_layer=layers.get(first or 0), further_feature_layers=[layers[further]]
        )
