"""Preprocessing files of Hugging Face and timm, as their libraries write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_edge.errors import SettingError
from gagrad_export import InputOptions, export
from gagrad_export.preprocessing import read_preprocessing
from tests.models import tiny_model

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
VIT: dict[str, Any] = {
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
}
CLIP: dict[str, Any] = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": MEAN,
    "image_std": STD,
    "resample": 3,
    "size": {"shortest_edge": 256},
}
CONVNEXT: dict[str, Any] = {
    "crop_pct": 0.875,
    "do_normalize": True,
    "do_resize": True,
    "image_mean": MEAN,
    "image_processor_type": "ConvNextImageProcessor",
    "image_std": STD,
    "resample": 3,
    "size": {"shortest_edge": 224},
}
DETR: dict[str, Any] = {
    "do_convert_annotations": True,
    "do_normalize": False,
    "do_pad": False,
    "do_rescale": True,
    "do_resize": True,
    "format": "coco_detection",
    "image_mean": MEAN,
    "image_processor_type": "RTDetrImageProcessor",
    "image_std": STD,
    "pad_size": None,
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 640, "width": 640},
}
TIMM: dict[str, Any] = {
    "architecture": "resnet50",
    "num_classes": 1000,
    "pretrained_cfg": {
        "tag": "a1_in1k",
        "custom_load": False,
        "input_size": [3, 224, 224],
        "test_input_size": [3, 288, 288],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": MEAN,
        "std": STD,
        "num_classes": 1000,
        "pool_size": [7, 7],
        "first_conv": "conv1",
        "classifier": "fc",
    },
}


def written(folder: Path, keys: dict[str, Any]) -> Path:
    (folder / "p.json").write_text(json.dumps(keys), encoding="utf-8")
    return folder / "p.json"


def test_a_stretching_processor(tmp_path: Path) -> None:
    """ViT: both sides at once, PIL bilinear, mean and std of 0..1."""
    read = read_preprocessing(written(tmp_path, VIT))
    assert (read.size, read.mean, read.std) == ((224, 224), [0.5] * 3, [0.5] * 3)
    assert read.fields == {"resize": "stretch", "semantics": "pil", "interpolation": "linear"}


def test_a_processor_of_tensors(tmp_path: Path) -> None:
    """The Fast classes resize tensors: torch's resampling."""
    read = read_preprocessing(written(tmp_path, VIT | {"image_processor_type": "ViTImageProcessorFast"}))
    assert read.fields["semantics"] == "torch"


def test_a_cutting_processor(tmp_path: Path) -> None:
    """CLIP: the shorter side, then the centre; ``crop_size`` may be one number."""
    for crop in (224, {"height": 224, "width": 224}):
        read = read_preprocessing(written(tmp_path, CLIP | {"crop_size": crop}))
        assert read.size == (224, 224)
        assert read.fields == {
            "resize": "crop",
            "resize_to": 256,
            "semantics": "pil",
            "interpolation": "cubic",
        }


@pytest.mark.parametrize(
    ("change", "mean", "std"),
    [
        ({"do_normalize": False}, [0.0], [1.0]),
        ({"do_rescale": False, "image_mean": [127.5], "image_std": [51.0]}, [0.5], [0.2]),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1.0], "image_std": [1.0]}, [0.5], [0.5]),
    ],
    ids=str,
)
def test_other_scales_become_zero_to_one(
    tmp_path: Path, change: dict[str, Any], mean: list[float], std: list[float]
) -> None:
    """``(pixel·factor − mean) / std`` is written for pixel values 0..1."""
    read = read_preprocessing(written(tmp_path, VIT | change))
    assert (read.mean, read.std) == (pytest.approx(mean), pytest.approx(std))


def test_processors_whose_size_is_one_number(tmp_path: Path) -> None:
    """CLIP's is the shorter side; ViT's and DeiT's are both sides."""
    old = {key: value for key, value in CLIP.items() if key != "feature_extractor_type"}
    clip = read_preprocessing(
        written(tmp_path, old | {"size": 256, "image_processor_type": "CLIPImageProcessor"})
    )
    assert (clip.size, clip.fields["resize_to"]) == ((224, 224), 256)
    both = old | {"size": 224, "crop_size": 224, "feature_extractor_type": "ViTFeatureExtractor"}
    assert read_preprocessing(written(tmp_path, both)).fields["resize"] == "stretch"


def test_convnexts_crop(tmp_path: Path) -> None:
    """The shorter side is ``size / crop_pct``, by default 256 for 224; from 384 on both sides are resized."""
    read = read_preprocessing(written(tmp_path, CONVNEXT))
    assert (read.size, read.fields["resize"], read.fields["resize_to"]) == ((224, 224), "crop", 256)
    plain = {key: value for key, value in CONVNEXT.items() if key != "crop_pct"}
    assert read_preprocessing(written(tmp_path, plain)).fields["resize_to"] == 256
    large = CONVNEXT | {"size": {"shortest_edge": 384}}
    assert read_preprocessing(written(tmp_path, large)).fields["resize"] == "stretch"


def test_a_detectors_processor(tmp_path: Path) -> None:
    """RT-DETR: stretched, 0..1; what concerns labels is left out. It may stand in processor_config.json."""
    for keys in (DETR, {"image_processor": DETR, "processor_class": "X"}):
        read = read_preprocessing(written(tmp_path, keys))
        assert (read.size, read.mean, read.std) == ((640, 640), [0.0], [1.0])
        assert read.fields["resize"] == "stretch"


def test_timms_configuration(tmp_path: Path) -> None:
    """As on the hub, and the inner part by itself; squash without a crop is a stretch."""
    for keys in (TIMM, TIMM["pretrained_cfg"]):
        read = read_preprocessing(written(tmp_path, keys))
        assert (read.size, read.mean, read.std) == ((224, 224), MEAN, STD)
        assert read.fields == {
            "resize": "crop",
            "crop_ratio": 0.95,
            "semantics": "pil",
            "interpolation": "cubic",
        }
    squashed = TIMM["pretrained_cfg"] | {"crop_mode": "squash", "crop_pct": 1.0}
    assert read_preprocessing(written(tmp_path, squashed)).fields["resize"] == "stretch"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (VIT | {"do_pad": True}, "do_pad in .* is not understood"),
        (VIT | {"patch_size": 16}, "patch_size in .* is not understood"),
        (VIT | {"resample": 5}, "resample in .* cannot be 5"),
        (VIT | {"resample": None}, "resample in .* is missing"),
        (VIT | {"image_mean": None}, "image_mean in .* is missing"),
        (VIT | {"do_resize": False}, "do_resize in .* is false"),
        (VIT | {"size": {"shortest_edge": 800, "longest_edge": 1333}}, "size in .* cannot be"),
        (VIT | {"size": {"shortest_edge": 224}}, "size in .* cannot be"),
        (VIT | {"size": True}, "size in .* cannot be"),
        (VIT | {"rescale_factor": 0}, "rescale_factor in .* cannot be 0"),
        (CLIP | {"size": 224, "feature_extractor_type": "X"}, "size in .* may be the shorter side or both"),
        (CONVNEXT | {"crop_pct": 2.0}, "size, crop_pct in .* cannot be"),
        (CONVNEXT | {"size": {"height": 224, "width": 224}}, "size, crop_pct in .* cannot be"),
        (CLIP | {"size": {"height": 256, "width": 256}}, "size in .* shortest_edge only"),
        (CLIP | {"data_format": "channels_last"}, "data_format in"),
        (TIMM["pretrained_cfg"] | {"crop_mode": "border"}, "crop_mode in .* cannot be border"),
        (TIMM["pretrained_cfg"] | {"crop_mode": "squash"}, "crop_mode in .* squash with crop_pct 0.95"),
        (TIMM["pretrained_cfg"] | {"interpolation": "random"}, "interpolation in .* cannot be random"),
        (TIMM["pretrained_cfg"] | {"new": 1}, "new in .* is not understood"),
        (TIMM["pretrained_cfg"] | {"input_size": [224, 224]}, "input_size in .* cannot be"),
        ({"a": 1}, "no preprocessing file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "keys",
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    """Nothing that could change the image is passed over."""
    with pytest.raises(SettingError, match=said) as caught:
        read_preprocessing(written(tmp_path, keys))
    assert caught.value.where == "preprocessing"


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_an_unreadable_file(tmp_path: Path, text: str) -> None:
    """It is named, with the reason."""
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match="cannot be read"):
        read_preprocessing(tmp_path / "p.json")
    with pytest.raises(SettingError, match="cannot be read"):
        read_preprocessing(tmp_path / "none.json")


@pytest.mark.slow
def test_the_export_follows_the_file_and_what_is_given_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Size, mean, std and resizing are the file's, but for the ones that the caller gave."""
    onnx.save(tiny_model(), tmp_path / "m.onnx")
    small = {"crop_size": {"height": 24, "width": 32}, "size": {"shortest_edge": 30}}
    path, out = written(tmp_path, CLIP | small), tmp_path / "m.gagrad"
    export(tmp_path / "m.onnx", out, inputs=InputOptions(preprocessing=path))
    spec = read_bundle(out).manifest.input
    assert (spec.height, spec.width, spec.mean, spec.std) == (24, 32, MEAN, STD)
    assert (spec.resize, spec.resize_to, spec.interpolation) == ("crop", 30, "cubic")
    command = ["export", str(tmp_path / "m.onnx"), "-o", str(out), "--preprocessing", str(path)]
    assert run([*command, "--interpolation", "lanczos", "--std", "0.5"]) == 0
    spec = read_bundle(out).manifest.input
    assert (spec.interpolation, spec.mean, spec.std) == ("lanczos", MEAN, [0.5] * 3)
    capsys.readouterr()
    written(tmp_path, CLIP | {"do_pad": True})
    assert run(command) == 2
    error = capsys.readouterr().err
    assert "--preprocessing: do_pad in" in error
    assert "leave --preprocessing out and give --size" in error
