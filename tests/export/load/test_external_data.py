"""Weights in files of their own are read from the model's folder, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import ModelError
from gagrad_export import export
from gagrad_export.load import load_onnx_file
from gagrad_export.size import LIMIT
from tests.models import tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model with its weights in ``weights.bin`` beside it."""
    folder = tmp_path / "folder"
    (folder / "parts").mkdir(parents=True)
    onnx.save(
        tiny_model(),
        folder / "m.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    return folder / "m.onnx"


def relocate(model: Path, location: str | None, **fields: str) -> Path:
    """Write the model again with its weights at ``location``."""
    proto = onnx.load(model, load_external_data=False)
    for tensor in proto.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data} | fields
        entries.pop("location")
        if location is not None:
            entries["location"] = location
        del tensor.external_data[:]
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
    model.with_name("moved.onnx").write_bytes(proto.SerializeToString())
    return model.with_name("moved.onnx")


def test_the_weights_are_loaded_and_hashed(model: Path) -> None:
    """The hash that names a model covers them: other weights, another hash."""
    first = load_onnx_file(model)
    assert not first.model.graph.initializer[0].external_data
    data = bytearray((model.parent / "weights.bin").read_bytes())
    data[0] ^= 1
    (model.parent / "weights.bin").write_bytes(data)
    assert load_onnx_file(model).sha256 != first.sha256


def test_a_folder_below_is_fine(model: Path) -> None:
    """Weights in a folder below the model's are read."""
    (model.parent / "weights.bin").rename(model.parent / "parts" / "weights.bin")
    assert load_onnx_file(relocate(model, "parts/weights.bin")).name == "moved"


@pytest.mark.parametrize(
    "location",
    ["{outside}", "../secret.bin", "parts/../../secret.bin", "C:\\secret.bin", "link.bin", "out/secret.bin"],
)
def test_outside_is_refused(model: Path, location: str) -> None:
    """Absolute, upwards, a link to a file and a link to a folder: nothing of it is read."""
    secret = model.parent.parent / "secret.bin"
    (model.parent / "weights.bin").rename(secret)
    (model.parent / "link.bin").symlink_to(secret)
    (model.parent / "out").symlink_to(secret.parent)
    moved = relocate(model, location.format(outside=secret))
    with pytest.raises(ModelError, match="outside the model's folder"):
        load_onnx_file(moved)


@pytest.mark.parametrize("location", ["gone.bin", "parts", None])
def test_a_missing_file_is_named(model: Path, location: str | None) -> None:
    """A weights file that is missing or a folder raises ModelError."""
    with pytest.raises(ModelError, match="is missing"):
        load_onnx_file(relocate(model, location))


@pytest.mark.parametrize(
    "fields", [{"length": "999999"}, {"offset": "999999"}, {"offset": "-8"}, {"offset": "x"}]
)
def test_a_cut_file_is_refused(model: Path, fields: dict[str, str]) -> None:
    """An offset or length beyond the weights file raises ModelError."""
    with pytest.raises(ModelError, match=r"weights cannot be read|copy the model"):
        load_onnx_file(relocate(model, "weights.bin", **fields))


def test_more_than_one_file_can_hold(tmp_path: Path) -> None:
    """3 GB of weights are refused with the reason, before any of it is read: the files here are sparse."""
    weight = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[3 << 28], data_location=TensorProto.EXTERNAL
    )
    weight.external_data.add(key="location", value="w.bin")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [x], [weight])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    for name in ("w.bin", "whole.onnx"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(3 << 30)
    assert (tmp_path / "w.bin").stat().st_size > LIMIT
    for name in ("m.onnx", "whole.onnx"):
        with pytest.raises(ModelError, match=r"larger than 2 GiB(?s:.*)float16"):
            load_onnx_file(tmp_path / name)


@pytest.mark.slow
def test_only_the_model_itself_must_fit_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gradient has the weights once more and is exported all the same; of a larger model nothing is."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers)
    size = sum(tensor.nbytes for tensor in module.parameters())
    monkeypatch.setattr("gagrad_export.size.LIMIT", size * 3 // 2)
    export(module, tmp_path / "m.gagrad", size=(16, 16))
    assert read_bundle(tmp_path / "m.gagrad").graph_file("accumulate").size > size * 3 // 2
    (tmp_path / "m.gagrad").unlink()
    monkeypatch.setattr("gagrad_export.size.LIMIT", size - 1)
    with pytest.raises(ModelError, match=r"the model is larger"):
        export(module, tmp_path / "m.gagrad", size=(16, 16))
    assert not (tmp_path / "m.gagrad").exists()


def test_weights_of_several_models_in_one_file(model: Path) -> None:
    """What counts is what this model reads of it."""
    with (model.parent / "weights.bin").open("ab") as file:
        file.write(np.zeros(100, np.float32).tobytes())
    assert load_onnx_file(model).model.graph.initializer[0].raw_data


def test_a_value_that_nothing_provides(tmp_path: Path) -> None:
    """As torch 2.13 writes it where its optimiser joins two clips behind one value, twice."""
    proto = tiny_model()
    lost = proto.graph.initializer.pop(0).name
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=rf"reads '{lost}', which nothing(?s:.*)optimize=False"):
        load_onnx_file(tmp_path / "m.onnx")
