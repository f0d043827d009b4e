"""The metadata that ultralytics writes into its ONNX files: how pictures are fed, and the class names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_export.preprocessing.recipe import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LONGEST = 1 << 20
"""Longest value that is parsed."""
_TASKS = ("detect", "segment", "pose", "obb", "semantic", "depth", "classify")
_STRETCHED = "rtdetr"
"""Detectors whose pictures ultralytics stretches, as the file's head or description names them."""


def ultralytics_recipe(metadata: Mapping[str, str]) -> Preprocessing | None:
    """Return what ultralytics' ``metadata`` (``metadata_props``) say of the input; None for other files.

    A detector gets ``LetterBox`` without ``auto``: grey 114, OpenCV's linear, the frame in the centre. For
    RT-DETR and depth the frame is stretched. A classifier gets torchvision's ``Resize`` and ``CenterCrop``
    by PIL, or where height and width differ ``Resize`` to both. Pixel values are 0..1 in RGB order. Raises
    SettingError for values that cannot be read.
    """
    task = metadata.get("task", "")
    if not {"task", "imgsz", "names", "stride"} <= metadata.keys():
        return None
    if task not in _TASKS:
        raise _refused("task", task)
    height, width = _size(metadata["imgsz"])
    family = (metadata.get("head", "") + metadata.get("description", "")).lower()
    fields: dict[str, Any]
    if task == "classify":
        fields = {"semantics": "pil", "interpolation": "linear", "resize": "stretch"}
        how = "stretched by PIL"
        if height == width:
            fields |= {"resize": "crop", "resize_to": height}
            how = "the centre after PIL's resizing of the shorter side"
    elif task == "depth" or _STRETCHED in family.replace("-", ""):
        fields = {"semantics": "opencv", "interpolation": "linear", "resize": "stretch"}
        how = "stretched by OpenCV"
    else:
        fields = {"semantics": "opencv", "interpolation": "linear", "resize": "letterbox", "pad_value": 114}
        how = "letterbox on grey 114 by OpenCV"
    names = _names(metadata["names"])
    return Preprocessing(
        size=(height, width),
        mean=[0.0],
        std=[1.0],
        fields=fields,
        classes=names,
        note=f"pictures are fed as ultralytics' metadata in the file says (task {task}, {len(names)} class "
        f"names): {how}, pixel values 0..1; what you give wins, and `preprocessing=none` leaves it out",
    )


def _size(text: str) -> tuple[int, int]:
    """Return (height, width) of ``[640, 640]`` or ``640``."""
    value = _literal("imgsz", text)
    sides = [value, value] if isinstance(value, int) else value
    if (
        not isinstance(sides, (list, tuple))
        or len(sides) != 2
        or not all(type(s) is int and s > 0 for s in sides)
    ):
        raise _refused("imgsz", text)
    return sides[0], sides[1]


def _names(text: str) -> list[str]:
    """Return the names of ``{0: 'ok', 1: 'scratch'}`` in the order of their numbers."""
    value = _literal("names", text)
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or sorted(value, key=str) != sorted(range(len(value)), key=str):
        raise _refused("names", text)
    return [str(value[index]) for index in range(len(value))]


def _literal(key: str, text: str) -> object:
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _refused(key, text) from error


def _refused(key: str, text: str) -> SettingError:
    return SettingError(
        f"ultralytics' metadata in the file have {key} {text[:60]!r}, which is not understood",
        where="preprocessing",
        hint="give `preprocessing=none`, and how pictures are fed with `size`, `resize`, `mean` and `std`",
    )
