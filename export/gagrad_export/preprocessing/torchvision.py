"""The presets of torchvision's classification weights, by name or with their numbers.

``torchvision:resnet50`` is the preset of the newest weights of that name, ``torchvision:resnet50.v1`` or
``torchvision:ResNet50_Weights.IMAGENET1K_V1`` that of others, and ``torchvision:ImageClassification`` with
``,crop_size=224,resize_size=232`` one with numbers of its own. The numbers are those of torchvision 0.28,
which is not imported: it needs torch.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import SettingError
from gagrad_export.preprocessing.recipe import Preprocessing

if TYPE_CHECKING:
    from gagrad_edge.input import Interpolation

PREFIX = "torchvision:"
_PRESET = "ImageClassification"
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_INTERPOLATION: dict[str, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "linear",
    "bicubic": "cubic",
    "lanczos": "lanczos",
    "box": "area",
}
_NORMALISED = {"efficientnet_v2_l.v1": ([0.5] * 3, [0.5] * 3)}
"""Mean and std where they are not ImageNet's."""

_PRESETS: dict[tuple[int, int, Interpolation], str] = {
    (224, 224, "cubic"): (
        "maxvit_t.v1 regnet_y_16gf.swag_linear_v1 regnet_y_32gf.swag_linear_v1 "
        "regnet_y_128gf.swag_linear_v1 vit_b_16.swag_linear_v1 vit_l_16.swag_linear_v1 "
        "vit_h_14.swag_linear_v1"
    ),
    (224, 230, "linear"): "convnext_small.v1",
    (224, 232, "cubic"): "swin_t.v1",
    (224, 232, "linear"): (
        "convnext_base.v1 convnext_large.v1 mnasnet0_75.v1 mnasnet1_3.v1 mobilenet_v2.v2 "
        "mobilenet_v3_large.v2 regnet_y_400mf.v2 regnet_y_800mf.v2 regnet_y_1_6gf.v2 regnet_y_3_2gf.v2 "
        "regnet_y_8gf.v2 regnet_y_16gf.v2 regnet_y_32gf.v2 regnet_x_400mf.v2 regnet_x_800mf.v2 "
        "regnet_x_1_6gf.v2 regnet_x_3_2gf.v2 regnet_x_8gf.v2 regnet_x_16gf.v2 regnet_x_32gf.v2 "
        "resnet50.v2 resnet101.v2 resnet152.v2 resnext50_32x4d.v2 resnext101_32x8d.v2 "
        "resnext101_64x4d.v1 wide_resnet50_2.v2 wide_resnet101_2.v2 shufflenet_v2_x1_5.v1 "
        "shufflenet_v2_x2_0.v1"
    ),
    (224, 236, "linear"): "convnext_tiny.v1",
    (224, 238, "cubic"): "swin_b.v1",
    (224, 242, "linear"): "vit_l_16.v1",
    (224, 246, "cubic"): "swin_s.v1",
    (224, 256, "cubic"): "efficientnet_b0.v1",
    (224, 256, "linear"): (
        "alexnet.v1 densenet121.v1 densenet161.v1 densenet169.v1 densenet201.v1 googlenet.v1 "
        "mnasnet0_5.v1 mnasnet1_0.v1 mobilenet_v2.v1 mobilenet_v3_large.v1 mobilenet_v3_small.v1 "
        "regnet_y_400mf.v1 regnet_y_800mf.v1 regnet_y_1_6gf.v1 regnet_y_3_2gf.v1 regnet_y_8gf.v1 "
        "regnet_y_16gf.v1 regnet_y_32gf.v1 regnet_x_400mf.v1 regnet_x_800mf.v1 regnet_x_1_6gf.v1 "
        "regnet_x_3_2gf.v1 regnet_x_8gf.v1 regnet_x_16gf.v1 regnet_x_32gf.v1 resnet18.v1 resnet34.v1 "
        "resnet50.v1 resnet101.v1 resnet152.v1 resnext50_32x4d.v1 resnext101_32x8d.v1 wide_resnet50_2.v1 "
        "wide_resnet101_2.v1 shufflenet_v2_x0_5.v1 shufflenet_v2_x1_0.v1 squeezenet1_0.v1 "
        "squeezenet1_1.v1 vgg11.v1 vgg11_bn.v1 vgg13.v1 vgg13_bn.v1 vgg16.v1 vgg16_bn.v1 vgg19.v1 "
        "vgg19_bn.v1 vit_b_16.v1 vit_b_32.v1 vit_l_32.v1"
    ),
    (240, 255, "linear"): "efficientnet_b1.v2",
    (240, 256, "cubic"): "efficientnet_b1.v1",
    (256, 260, "cubic"): "swin_v2_t.v1 swin_v2_s.v1",
    (256, 272, "cubic"): "swin_v2_b.v1",
    (288, 288, "cubic"): "efficientnet_b2.v1",
    (299, 342, "linear"): "inception_v3.v1",
    (300, 320, "cubic"): "efficientnet_b3.v1",
    (380, 384, "cubic"): "efficientnet_b4.v1",
    (384, 384, "cubic"): (
        "regnet_y_16gf.swag_e2e_v1 regnet_y_32gf.swag_e2e_v1 regnet_y_128gf.swag_e2e_v1 vit_b_16.swag_e2e_v1"
    ),
    (384, 384, "linear"): "efficientnet_v2_s.v1",
    (456, 456, "cubic"): "efficientnet_b5.v1",
    (480, 480, "cubic"): "efficientnet_v2_l.v1",
    (480, 480, "linear"): "efficientnet_v2_m.v1",
    (512, 512, "cubic"): "vit_l_16.swag_e2e_v1",
    (518, 518, "cubic"): "vit_h_14.swag_e2e_v1",
    (528, 528, "cubic"): "efficientnet_b6.v1",
    (600, 600, "cubic"): "efficientnet_b7.v1",
}
"""Weights by the preset's ``crop_size``, ``resize_size`` and interpolation: ``model.version``."""
_NEWEST = ("v2", "v1", "swag_e2e_v1")
"""Versions in the order in which torchvision takes one for its DEFAULT."""


def torchvision_recipe(name: str) -> Preprocessing:
    """Return what the preset ``name``, with its ``torchvision:`` in front, says. Raises SettingError."""
    preset, *settings = name.removeprefix(PREFIX).split(",")
    if preset == _PRESET:
        return _with_numbers(settings, name)
    known = {weights: numbers for numbers, all_of in _PRESETS.items() for weights in all_of.split()}
    asked = (
        re.sub(r"_weights(?=\.|$)", "", preset.lower()).replace(".imagenet1k_", ".").removesuffix(".default")
    )
    versions = [f"{asked}.{version}" for version in _NEWEST] if "." not in asked else [asked]
    weights = next((each for each in versions if each in known), None)
    if weights is None or settings:
        near = difflib.get_close_matches(
            asked, sorted({each.partition(".")[0] for each in known} | set(known))
        )
        raise SettingError(
            f"torchvision's weights have no preset {preset!r} that is known"
            if weights is None
            else f"{preset} has its own numbers: {settings[0]} cannot be added",
            where="preprocessing",
            hint=f"give its numbers: {PREFIX}{_PRESET},crop_size=224,resize_size=256; detection and "
            "segmentation presets resize in another way",
            choices=near,
        )
    crop, resize, interpolation = known[weights]
    mean, std = _NORMALISED.get(weights, (_MEAN, _STD))
    return _recipe(crop, resize, interpolation, mean, std, f"torchvision's preset {weights}")


def _with_numbers(settings: list[str], name: str) -> Preprocessing:
    """Return ``ImageClassification`` with ``settings``; those left out are torchvision's own."""
    numbers: dict[str, Any] = {"resize_size": 256, "interpolation": "bilinear", "mean": _MEAN, "std": _STD}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            if key in ("crop_size", "resize_size"):
                numbers[key] = int(value)
            elif key in ("mean", "std"):
                numbers[key] = [float(number) for number in value.split("/")]
            elif key == "interpolation":
                numbers[key] = value.lower()
            else:
                raise ValueError("there is no such setting")
        except ValueError as error:
            raise _refused(setting, name, str(error)) from error
    if "crop_size" not in numbers:
        raise _refused("crop_size", name, "it is missing")
    if numbers["interpolation"] not in _INTERPOLATION:
        raise _refused("interpolation", name, f"it is one of {', '.join(_INTERPOLATION)}")
    if numbers["resize_size"] < numbers["crop_size"] or numbers["crop_size"] < 1:
        raise _refused("crop_size", name, "it is not from 1 to resize_size")
    return _recipe(
        numbers["crop_size"],
        numbers["resize_size"],
        _INTERPOLATION[numbers["interpolation"]],
        numbers["mean"],
        numbers["std"],
        f"torchvision's preset {_PRESET}",
    )


def _recipe(
    crop: int, resize: int, interpolation: Interpolation, mean: list[float], std: list[float], what: str
) -> Preprocessing:
    return Preprocessing(
        size=(crop, crop),
        mean=list(mean),
        std=list(std),
        fields={"resize": "crop", "resize_to": resize, "semantics": "pil", "interpolation": interpolation},
        note=f"pictures are fed as {what} has it: the shorter side to {resize}, the centre {crop} high and "
        f"{crop} wide",
    )


def _refused(setting: str, name: str, why: str) -> SettingError:
    return SettingError(
        f"{setting} in {name!r}: {why}",
        where="preprocessing",
        hint=f"write {PREFIX}{_PRESET},crop_size=224,resize_size=256,interpolation=bilinear,"
        "mean=0.485/0.456/0.406,std=0.229/0.224/0.225; all but crop_size may be left out",
    )
