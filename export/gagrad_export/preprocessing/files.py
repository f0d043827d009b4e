"""Preprocessing files of other libraries, read as options of an export.

Read are ``preprocessor_config.json`` of Hugging Face's image processors and timm's pretrained configuration.
A key that is not known is refused by its name: it could change what the model sees.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import SettingError
from gagrad_export.preprocessing.recipe import Preprocessing

if TYPE_CHECKING:
    from gagrad_edge.input import Interpolation


def read_file(path: str | Path) -> Preprocessing:
    """Return what the file at ``path`` says. Raises SettingError, naming the key that is not understood."""
    try:
        keys = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        if not isinstance(keys, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(
            f"{path} cannot be read ({error})",
            where="preprocessing",
            hint="give a file, or torchvision:NAME for a preset of torchvision's weights",
        ) from error
    nested = keys.get("pretrained_cfg")
    if isinstance(nested, dict):
        return _timm(_Keys(nested, str(path)))
    inner = keys.get("image_processor")  # processor_config.json holds all processors of a model
    if isinstance(inner, dict):
        keys = inner
    if "input_size" in keys:
        return _timm(_Keys(keys, str(path)))
    if "image_processor_type" in keys or "feature_extractor_type" in keys or "do_resize" in keys:
        return _hugging_face(_Keys(keys, str(path)))
    raise SettingError(
        f"{path} is no preprocessing file that is known",
        where="preprocessing",
        hint="give Hugging Face's preprocessor_config.json or timm's config.json, or torchvision:NAME",
    )


class _Keys:
    """The keys of a file; each is taken once, and what remains was not understood."""

    def __init__(self, keys: dict[str, Any], path: str) -> None:
        # null is what the libraries write for "not set".
        self.left = {key: value for key, value in keys.items() if value is not None}
        self.path = path

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """Return the value of ``key``, which must be of ``kind``; without a default it must be there."""
        if key not in self.left:
            if default is None:
                raise self.refused(key, "is missing, and its default depends on the model's class")
            return default
        value = self.left.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.refused(key, f"cannot be {json.dumps(value)}")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return whether ``key`` is true."""
        value = self.left.pop(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, f"cannot be {json.dumps(value)}")
        return value

    def numbers(self, key: str) -> list[float]:
        """Return the list of numbers at ``key``."""
        values = self.take(key, list)
        if not values or not all(type(value) in (int, float) for value in values):
            raise self.refused(key, f"cannot be {json.dumps(values)}")
        return [float(value) for value in values]

    def drop(self, keys: frozenset[str]) -> None:
        """Leave out ``keys``, which do not change the image."""
        for key in keys:
            self.left.pop(key, None)

    def end(self) -> None:
        """Refuse what is left; a step ``do_…`` that is not done needs no understanding."""
        unknown = [key for key, value in self.left.items() if not (key.startswith("do_") and value is False)]
        if unknown:
            raise self.refused(", ".join(sorted(unknown)), "is not understood")

    def refused(self, key: str, why: str) -> SettingError:
        """Return the error that ``key`` of the file cannot be followed."""
        return SettingError(
            f"{key} in {self.path} {why}",
            where="preprocessing",
            hint="leave `preprocessing` out and give `size`, `mean`, `std` and `resize` by themselves, or "
            "take the key out of a copy of the file if it does not change the image",
        )


_RESAMPLE: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "linear", 3: "cubic", 4: "area"}
"""Pillow's codes; 5, Hamming's window, is not offered."""
_HUGGING_FACE_OTHER = frozenset(
    {
        "image_processor_type",
        "feature_extractor_type",
        "processor_class",
        "_valid_processor_keys",
        "do_convert_rgb",
        "data_format",
        "return_tensors",
        "default_to_square",
        "format",
        "do_convert_annotations",
        "do_reduce_labels",
        "reduce_labels",
        "disable_grouping",
        "device",
    }
)
"""What concerns labels, and how tensors are held; ``size`` says both of its sides, or is refused."""
_SHORTER_AND_CUT = ("ConvNext", "ConvNextImageProcessor", "ConvNextFeatureExtractor")
"""Classes whose ``size`` is cut from a shorter side of ``size / crop_pct``; from 384 on nothing is cut."""
_SHORTER = ("CLIPImageProcessor", "CLIPFeatureExtractor")
_BOTH = (
    "ViTFeatureExtractor",
    "DeiTFeatureExtractor",
    "BeitFeatureExtractor",
    "ViTImageProcessor",
    "DeiTImageProcessor",
)
"""Classes that, where ``size`` is one number, mean the shorter side, or both sides."""


def _hugging_face(keys: _Keys) -> Preprocessing:
    kind = str(keys.left.get("image_processor_type", keys.left.get("feature_extractor_type", "")))
    data_format = keys.left.get("data_format", "channels_first")
    if data_format != "channels_first":
        raise keys.refused("data_format", f"cannot be {json.dumps(data_format)}")
    keys.drop(_HUGGING_FACE_OTHER)
    if not keys.flag("do_resize", default=True):
        raise keys.refused("do_resize", "is false: frames of any size would reach the model")
    size = keys.take("size", (int, dict))
    fields = _hugging_face_size(keys, size, kind.removesuffix("Fast"))
    height, width = fields.pop("size")
    code = keys.take("resample", int)
    if code not in _RESAMPLE:
        raise keys.refused("resample", f"cannot be {code}")
    fast = kind.endswith("Fast")  # these resize tensors, the others PIL images
    fields |= {"semantics": "torch" if fast else "pil", "interpolation": _RESAMPLE[code]}
    if keys.flag("do_flip_channel_order"):
        fields["colour"] = "bgr"
    factor = float(keys.take("rescale_factor", (int, float), 1 / 255))
    if not keys.flag("do_rescale", default=True):
        factor = 1.0
    if not factor > 0:
        raise keys.refused("rescale_factor", f"cannot be {factor:g}")
    mean, std = [0.0], [1.0]
    if keys.flag("do_normalize", default=True):
        mean, std = keys.numbers("image_mean"), keys.numbers("image_std")
    keys.drop(frozenset({"image_mean", "image_std"}))
    keys.end()
    white = 255 * factor  # what the library makes of a white pixel, before it normalises
    return Preprocessing(
        size=(height, width),
        mean=[round(value / white, 9) for value in mean],
        std=[round(value / white, 9) for value in std],
        fields=fields,
    )


def _hugging_face_size(keys: _Keys, size: int | dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the resize rule's fields, and the image's ``size``; ``kind`` is the file's class."""
    if kind in _SHORTER_AND_CUT:
        return _convnext_size(keys, size)
    cut = keys.flag("do_center_crop")
    if isinstance(size, int):
        if cut and kind not in (*_SHORTER, *_BOTH):
            raise keys.refused("size", f"{size} may be the shorter side or both: write a dictionary")
        size = {"shortest_edge": size} if cut and kind in _SHORTER else {"height": size, "width": size}
    if cut:
        crop = keys.take("crop_size", (int, dict))
        box = _box(keys, "crop_size", {"height": crop, "width": crop} if isinstance(crop, int) else crop)
        if set(size) == {"shortest_edge"} and type(size["shortest_edge"]) is int:
            return {"size": box, "resize": "crop", "resize_to": size["shortest_edge"]}
        if (size.get("height"), size.get("width")) != box:
            said = "with a centre crop is understood as a dictionary with shortest_edge only"
            raise keys.refused("size", said)
        return {"size": box, "resize": "stretch"}  # the cut takes nothing away
    keys.drop(frozenset({"crop_size"}))
    return {"size": _box(keys, "size", size), "resize": "stretch"}


def _convnext_size(keys: _Keys, size: int | dict[str, Any]) -> dict[str, Any]:
    side = size if isinstance(size, int) else size.get("shortest_edge")
    ratio = float(keys.take("crop_pct", (int, float), 224 / 256))
    if (
        type(side) is not int
        or (isinstance(size, dict) and set(size) != {"shortest_edge"})
        or not 0 < ratio <= 1
    ):
        raise keys.refused("size, crop_pct", f"cannot be {json.dumps(size)} and {ratio:g}")
    if side >= 384:
        return {"size": (side, side), "resize": "stretch"}
    return {"size": (side, side), "resize": "crop", "resize_to": int(side / ratio)}


def _box(keys: _Keys, key: str, size: dict[str, Any]) -> tuple[int, int]:
    if set(size) != {"height", "width"} or not all(type(value) is int for value in size.values()):
        raise keys.refused(key, f"cannot be {json.dumps(size)}")
    return size["height"], size["width"]


_TIMM_INTERPOLATION: dict[str, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "linear",
    "bicubic": "cubic",
    "lanczos": "lanczos",
    "box": "area",
}
_TIMM_OTHER = frozenset(
    {
        "url",
        "file",
        "source",
        "hf_hub_id",
        "hf_hub_filename",
        "architecture",
        "tag",
        "custom_load",
        "num_classes",
        "num_features",
        "classifier",
        "first_conv",
        "pool_size",
        "global_pool",
        "fixed_input_size",
        "min_input_size",
        "test_input_size",
        "test_crop_pct",
        "license",
        "description",
        "origin_url",
        "paper_name",
        "paper_ids",
        "notes",
        "label_names",
        "label_descriptions",
    }
)
"""What timm says of the network and its weights; those with ``test_`` are another setting than the usual."""


def _timm(keys: _Keys) -> Preprocessing:
    shape = keys.take("input_size", list)
    if len(shape) != 3 or not all(type(value) is int for value in shape):
        raise keys.refused("input_size", f"cannot be {json.dumps(shape)}")
    name = keys.take("interpolation", str)
    if name not in _TIMM_INTERPOLATION:
        raise keys.refused("interpolation", f"cannot be {name}")
    ratio = float(keys.take("crop_pct", (int, float)))
    mode = keys.take("crop_mode", str, "center")
    mean, std = keys.numbers("mean"), keys.numbers("std")
    fields: dict[str, Any] = {"semantics": "pil", "interpolation": _TIMM_INTERPOLATION[name]}
    if mode == "center":
        fields |= {"resize": "crop", "crop_ratio": ratio}
    elif mode == "squash" and ratio == 1:
        fields |= {"resize": "stretch"}
    else:
        raise keys.refused("crop_mode", f"cannot be {mode} with crop_pct {ratio:g}")
    keys.drop(_TIMM_OTHER)
    keys.end()
    return Preprocessing(size=(shape[1], shape[2]), mean=mean, std=std, fields=fields)
