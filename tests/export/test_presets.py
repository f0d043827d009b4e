"""Presets of torchvision's weights and ultralytics' metadata, against what these libraries do."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import SettingError
from gagrad_edge.input import InputSpec
from gagrad_export import InputOptions, export
from gagrad_export.preprocessing import read_preprocessing, ultralytics_recipe
from gagrad_export.preprocessing.recipe import completed
from gagrad_export.settings import _resizing
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from tests.models import tiny_model

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
METADATA = {
    "author": "Ultralytics",
    "description": "Ultralytics YOLO11n model",
    "task": "detect",
    "imgsz": "[24, 32]",
    "names": "{0: 'ok', 1: 'scratch', 2: 'dent'}",
    "stride": "32",
}


def test_a_preset_by_name() -> None:
    """The newest weights where none are named, others by either form, and ``DEFAULT``."""
    newest = read_preprocessing("torchvision:resnet50")
    assert (newest.size, newest.mean, newest.std) == ((224, 224), MEAN, STD)
    assert newest.fields == {
        "resize": "crop",
        "resize_to": 232,
        "semantics": "pil",
        "interpolation": "linear",
    }
    assert "preset resnet50.v2" in newest.note
    assert read_preprocessing("torchvision:ResNet50_Weights.DEFAULT") == newest
    for name in ("resnet50.v1", "ResNet50_Weights.IMAGENET1K_V1"):
        assert read_preprocessing(f"torchvision:{name}").fields["resize_to"] == 256
    assert read_preprocessing("torchvision:efficientnet_v2_l").mean == [0.5] * 3


def test_a_preset_by_its_numbers() -> None:
    """What is left out is torchvision's own default."""
    read = read_preprocessing("torchvision:ImageClassification,crop_size=200")
    assert (read.size, read.fields["resize_to"], read.mean) == ((200, 200), 256, MEAN)
    text = "ImageClassification,crop_size=224,resize_size=232,interpolation=bicubic,mean=0.5/0.4/0.3,std=0.5"
    read = read_preprocessing(f"torchvision:{text}")
    assert (read.fields["interpolation"], read.mean, read.std) == ("cubic", [0.5, 0.4, 0.3], [0.5])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet5", "no preset 'resnet5'"),
        ("FCN_ResNet50_Weights.DEFAULT", "no preset"),
        ("resnet50,crop_size=3", "has its own numbers"),
        ("ImageClassification", "it is missing"),
        ("ImageClassification,crop_size=x", "invalid literal"),
        ("ImageClassification,crop_size=300", "not from 1 to resize_size"),
        ("ImageClassification,crop_size=224,interpolation=hamming", "it is one of nearest, bilinear"),
        ("ImageClassification,crop_size=224,size=3", "no such setting"),
    ],
)
def test_a_preset_that_is_not_known(name: str, said: str) -> None:
    """With the form that takes numbers."""
    with pytest.raises(SettingError, match=said) as caught:
        read_preprocessing(f"torchvision:{name}")
    assert "crop_size=224" in (caught.value.hint or "")


def torchvisions() -> dict[str, dict[str, str]]:
    """Return the arguments of each preset in the source of torchvision, which is read and not imported."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        pytest.skip("torchvision is not installed")
    presets: dict[str, dict[str, str]] = {}
    for file in sorted((Path(found.origin).parent / "models").glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("_Weights"):
                for line in node.body:
                    if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call):
                        made: Any = next(key.value for key in line.value.keywords if key.arg == "transforms")
                        name = f"{node.name}.{line.targets[0].id}"  # type: ignore[attr-defined]
                        presets[name] = {key.arg: ast.unparse(key.value) for key in made.keywords}
    return presets


def test_every_preset_is_torchvisions() -> None:
    """All classification weights of the installed version, with the numbers of its source."""
    presets = torchvisions()
    assert len(presets) > 100
    for name, arguments in presets.items():
        if name.endswith(".IMAGENET1K_FEATURES"):  # weights without a classifier
            continue
        read = read_preprocessing(f"torchvision:{name}")
        crop = int(arguments["crop_size"])
        kind = {"BICUBIC": "cubic"}.get(arguments.get("interpolation", "").rpartition(".")[2], "linear")
        assert (read.size, read.fields["interpolation"]) == ((crop, crop), kind), name
        assert read.fields["resize_to"] == int(arguments.get("resize_size", "256")), name
        assert read.mean == list(ast.literal_eval(arguments.get("mean", str(MEAN)))), name


def spec_of(metadata: dict[str, str]) -> InputSpec:
    """Return the input of a model of 3 channels that is fed as ``metadata`` says."""
    read = ultralytics_recipe(metadata)
    assert read is not None
    options, size, _, _ = completed(read, InputOptions(), None, None, None)
    assert size is not None
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3}
    return InputSpec(height=size[0], width=size[1], colour="rgb", **plain, **_resizing(options))


def letterboxed(pixels: Any, size: tuple[int, int]) -> Any:
    """Return the picture as ultralytics' ``LetterBox(size, auto=False)`` makes it, by OpenCV's own calls."""
    ratio = min(size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    columns, rows = round(pixels.shape[1] * ratio), round(pixels.shape[0] * ratio)
    beside, above = (size[1] - columns) / 2, (size[0] - rows) / 2
    made = pixels if (rows, columns) == pixels.shape[:2] else cv2.resize(pixels, (columns, rows))
    top, bottom = round(above - 0.1), round(above + 0.1)
    left, right = round(beside - 0.1), round(beside + 0.1)
    return cv2.copyMakeBorder(made, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))


@pytest.mark.parametrize("size", [(640, 640), (320, 640), (224, 225)])
def test_the_letterbox_is_ultralytics(size: tuple[int, int]) -> None:
    """Bit for bit, whatever the frame's shape."""
    spec = spec_of(METADATA | {"imgsz": str(list(size))})
    for height, width in ((480, 640), (1081, 1920), (333, 500), (501, 77), size, (60, 41)):
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        image = prepare(load_frame(pixels), spec)[0][0].transpose(1, 2, 0) * 255
        assert np.array_equal(np.rint(image), letterboxed(pixels, size)), (height, width)


def test_what_the_metadata_say() -> None:
    """By task: letterbox, RT-DETR's stretch, a classifier's crop, and a stretch where it is not square."""
    read = ultralytics_recipe(METADATA)
    assert read is not None
    assert (read.size, read.mean, read.classes) == ((24, 32), [0.0], ["ok", "scratch", "dent"])
    assert "task detect, 3 class names" in read.note
    assert spec_of(METADATA).pad_value == 114
    assert spec_of(METADATA | {"head": "RTDETRDecoder"}).resize == "stretch"
    assert spec_of(METADATA | {"description": "Ultralytics RT-DETR-L model"}).resize == "stretch"
    square = spec_of(METADATA | {"task": "classify", "imgsz": "224"})
    assert (square.resize, square.resize_to, square.semantics) == ("crop", 224, "pil")
    assert spec_of(METADATA | {"task": "classify"}).resize == "stretch"
    assert ultralytics_recipe({"author": "another"}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"imgsz": "[640]"},
        {"imgsz": "x" * 9},
        {"imgsz": "[0, 1]"},
        {"names": "{1: 'a'}"},
        {"names": "__import__('os')"},
        {"names": "[" * 5000},
        {"task": "new"},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_metadata_that_cannot_be_read(wrong: dict[str, str]) -> None:
    """They are named, nothing in them is run, and the way around them is said."""
    with pytest.raises(SettingError, match=next(iter(wrong))) as caught:
        ultralytics_recipe(METADATA | wrong)
    assert "`preprocessing=none`" in (caught.value.hint or "")


def test_another_rule_drops_what_belongs_to_the_files() -> None:
    """A resize that is given takes the file's padding away, a library its interpolation."""
    read = ultralytics_recipe(METADATA)
    assert read is not None
    options, *_ = completed(read, InputOptions(resize="stretch"), None, None, None)
    assert (options.resize, options.pad_value, options.semantics) == ("stretch", None, "opencv")
    black, *_ = completed(read, InputOptions(resize="letterbox", pad_value=0), None, None, None)
    assert (black.resize, black.pad_value, black.interpolation) == ("letterbox", 0, "linear")
    preset = read_preprocessing("torchvision:efficientnet_b0")
    options, size, mean, _ = completed(preset, InputOptions(semantics="torch"), (100, 90), None, None)
    assert (options.semantics, options.interpolation, size, mean) == ("torch", None, (100, 90), MEAN)


@pytest.mark.slow
def test_the_file_says_how_it_is_fed(tmp_path: Path) -> None:
    """Metadata are followed and said in the summary; what is given wins, and none leaves them out."""
    model = tiny_model()
    for key, value in (METADATA | {"task": "semantic"}).items():  # a detector would need boxes
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, tmp_path / "m.onnx")
    out = tmp_path / "m.gagrad"
    export(tmp_path / "m.onnx", out)
    manifest = read_bundle(out).manifest
    assert (manifest.input.resize, manifest.input.pad_value, manifest.input.semantics) == (
        "letterbox",
        114,
        "opencv",
    )
    assert manifest.output.classes == ["ok", "scratch", "dent"]
    assert any("ultralytics' metadata" in note for note in manifest.model.notes)
    export(tmp_path / "m.onnx", out, mean=[0.5], classes=["a", "b", "c"], inputs=InputOptions(resize="crop"))
    manifest = read_bundle(out).manifest
    assert (manifest.input.resize, manifest.input.mean, manifest.output.classes) == (
        "crop",
        [0.5] * 3,
        ["a", "b", "c"],
    )
    export(tmp_path / "m.onnx", out, inputs=InputOptions(preprocessing="none"))
    manifest = read_bundle(out).manifest
    assert (manifest.input.resize, manifest.output.classes) == ("stretch", [])
    assert not any("ultralytics" in note for note in manifest.model.notes)
    preset = "torchvision:ImageClassification,crop_size=24,resize_size=30"
    export(tmp_path / "m.onnx", out, size=(24, 32), inputs=InputOptions(preprocessing=preset))
    manifest = read_bundle(out).manifest
    assert (manifest.input.resize, manifest.input.resize_to, manifest.input.mean) == ("crop", 30, MEAN)
