"""Models of 1 to 16 channels that are no colours, from the export to the picture and the record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import gagrad_runtime
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_edge.errors import FrameError, ModelError, SettingError
from gagrad_export import InputOptions, export
from gagrad_export.canonicalise import canonicalise
from gagrad_export.canonicalise.interface.ports import choose_input
from gagrad_export.channels import read_channels
from gagrad_export.settings import input_spec
from tests.channels import LIGHTS, lights, lights_model, tiff

if TYPE_CHECKING:
    from pathlib import Path


def spec(model: onnx.ModelProto, mean: list[float] | None = None, **options: Any) -> Any:
    inputs = InputOptions(**options)
    count = None if inputs.channels is None else len(range(6))
    return input_spec(canonicalise(model, channels=count), inputs, mean=mean, std=None)


def test_other_numbers_than_one_and_three_are_channels() -> None:
    """Counted from 1 where they have no names, and the first is shown."""
    found = spec(lights_model())
    assert (found.colour, found.channels, found.shape) == ("channels", 6, (6, 24, 32))
    assert (found.channel_names, found.shown) == (["1", "2", "3", "4", "5", "6"], [0])
    for channels in (1, 3):
        usual = input_spec(canonicalise(lights_model(channels)), mean=None, std=None)
        assert (usual.colour, usual.channel_names) == ({1: "mono", 3: "rgb"}[channels], [])


def test_names_and_what_is_shown() -> None:
    """By name; mean and std are one for each channel."""
    named = spec(lights_model(), mean=[0.1] * 6, channels=list(LIGHTS), shown=["back", "top", "left"])
    assert (named.channel_names, named.shown, named.mean) == (list(LIGHTS), [5, 0, 1], [0.1] * 6)
    assert read_channels("6") == 6
    assert read_channels("top, left") == ["top", "left"]


@pytest.mark.parametrize("free", [False, True])
def test_channels_may_come_last_or_be_left_open(free: bool) -> None:
    """Last where only that axis can be theirs; an open number has to be given."""
    model = lights_model(free=True) if free else lights_model(last=True)
    found = canonicalise(model, channels=6 if free else None)
    assert found.input_shape == (6, 24, 32)
    assert found.source_input.channels_last != free


def test_one_and_three_go_before_other_numbers() -> None:
    """An input of 3 channels is the image beside one of 16, and an axis of 3 is that of the channels."""
    ir = pytest.importorskip("onnx_ir")
    image, state = (
        ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        for name, shape in (("image", [1, 3, 64, 64]), ("state", [1, 16, 8, 8]))
    )
    graph = ir.Graph([state, image], [], nodes=[])
    assert choose_input(graph, None, (), []) is image
    assert choose_input(graph, None, (), [], channels=16) is state


@pytest.mark.parametrize(
    ("options", "said", "where"),
    [
        ({"colour": "rgb"}, r"takes 6 channel\(s\), which is not rgb", "colour"),
        ({"shown": ["2", "9"]}, "no channel '9'", "shown"),
        ({"shown": ["2", "3"]}, "one channel as grey or three", "shown"),
        ({"channels": 17}, "1 to 16 channels", "channels"),
        ({"channels": ["a", "a"]}, "occur twice: a", "channels"),
        ({"channels": ["a", ""]}, "has no name", "channels"),
        ({"channels": 6, "colour": "rgb"}, "are no colours, and colour is rgb", "channels"),
        ({"bayer": "rggb"}, "takes colours, not channels", "bayer"),
    ],
    ids=str,
)
def test_options_that_contradict(options: dict[str, Any], said: str, where: str) -> None:
    """Each by its name."""
    with pytest.raises(SettingError, match=said) as caught:
        spec(lights_model(), **options)
    assert caught.value.where == where


def test_another_number_than_the_model_has() -> None:
    """The shape is said; for an open number, that it is needed."""
    with pytest.raises(ModelError, match=r"shape \[any, 6, 24, 32\], not with 5 channels"):
        canonicalise(lights_model(), channels=5)
    with pytest.raises(ModelError, match="unknown number of channels") as caught:
        canonicalise(lights_model(free=True))
    assert "`channels`" in (caught.value.hint or "")
    with pytest.raises(SettingError, match="chooses among channels that are no colours"):
        input_spec(canonicalise(lights_model(3)), InputOptions(shown=["1"]), mean=None, std=None)


@pytest.mark.slow
def test_from_the_model_to_the_picture(tmp_path: Path) -> None:
    """The scores are the model's, each form of a frame gives one map, and the record has the channels."""
    onnx.save(lights_model(), tmp_path / "m.onnx")
    bundle = tmp_path / "m.gagrad"
    command = ["export", str(tmp_path / "m.onnx"), "-o", str(bundle), "--channels", ",".join(LIGHTS)]
    assert run([*command, "--shown", "top,left,back", "--std", "0.5"]) == 0
    member = read_bundle(bundle).manifest.selftest.frame
    assert member == "selftest/frame.npy"
    assert run(["verify", str(bundle), "--device", "cpu"]) == 0
    frame = lights(kind=np.uint16)
    (tmp_path / "pages.tif").write_bytes(tiff(*(frame[..., index] for index in range(6))))
    (tmp_path / "bands.tif").write_bytes(tiff(frame, planar=True, deflate=True))
    np.save(tmp_path / "array.npy", frame)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    x = (frame / np.float32(65535) / np.float32(0.5)).transpose(2, 0, 1)[None].astype(np.float32)
    with gagrad_runtime.load(bundle, device="cpu") as explainer:
        expected = session.run(None, {"x": x})[0][0]
        assert explainer.predict(frame).probabilities == pytest.approx(expected, abs=1e-5)
        maps = [
            explainer.explain(each, samples=4)
            for each in (frame, *(tmp_path / name for name in ("pages.tif", "bands.tif", "array.npy")))
        ]
        with pytest.raises(FrameError, match="has 5 channels, and the model needs 6"):
            explainer.explain(frame[..., :5])
    assert all(np.array_equal(one.saliency, maps[0].saliency) for one in maps)
    record = maps[0].record()
    assert (record["frame"]["channels"], record["frame"]["bits"]) == (6, 16)
    files = maps[1].save(tmp_path / "out")
    assert np.asarray(Image.open(files["picture"])).shape[2] == 3
    assert json.loads(files["record"].read_text())["frame"]["channels"] == 6


@pytest.mark.slow
def test_a_torch_module_of_two_channels(tmp_path: Path) -> None:
    """Their number is given, because a module does not say it; without it the cause names the option."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(2, 3, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    module = torch.nn.Sequential(*layers)
    with pytest.raises(ModelError, match="channels") as caught:
        export(module, tmp_path / "m.gagrad", size=(16, 20))
    assert "`channels`" in (caught.value.hint or "")
    inputs = InputOptions(channels=["left", "right"])
    report = export(module, tmp_path / "m.gagrad", size=(16, 20), classes=["a", "b", "c"], inputs=inputs)
    assert report.manifest.input.channel_names == ["left", "right"]
    assert report.manifest.verification.reference == "autograd"
