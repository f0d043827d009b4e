"""Labels in files of other tools: CVAT 1.1, COCO, Label Studio, and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as Xml

import msgspec

from gagrad_runtime.labels.lines import bare

if TYPE_CHECKING:
    from gagrad_runtime.labels.values import Box, Format

LARGEST = 32 << 20
"""Bytes of the largest file."""
MOST = 200_000
"""Labels of the longest."""


class ImportedError(Exception):
    """The file is none that can be read."""


class Given(NamedTuple):
    """One label in a file."""

    frame: int | None
    name: str
    label: str
    box: Box | None
    """In pixels, or of Label Studio's in shares of the frame: see ``shares``."""
    shares: bool = False


def read(data: bytes) -> tuple[Format, list[Given]]:
    """Return the form of the file ``data`` and its labels. Raises ImportedError."""
    if len(data) > LARGEST:
        raise ImportedError(f"the file has more than {LARGEST >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportedError(
            f"line {data[: error.start].count(10) + 1} is no text in UTF-8: save the file as UTF-8"
        ) from error
    form: Format
    if text.lstrip().startswith("<"):
        form, found = "cvat", _cvat(text)
    elif text.lstrip().startswith(("{", "[")):
        form, found = _json(text)
    else:
        form, found = "csv", _csv(text)
    if len(found) > MOST:
        raise ImportedError(f"the file has more than {MOST} labels")
    return form, found


def _cvat(text: str) -> list[Given]:
    if "<!" in text.replace("<!--", ""):  # no document type, so no entities that grow
        raise ImportedError("the file has a document type, and CVAT writes none")
    try:
        root = Xml.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand
    except Xml.ParseError as error:
        raise ImportedError(f"this is no XML ({error})") from error
    if root.tag != "annotations":
        raise ImportedError(f"this is no file of CVAT 1.1: it begins with <{root.tag}>, not <annotations>")
    found: list[Given] = []
    for image in root.iter("image"):
        number, name = _number(image.get("id")), image.get("name") or ""
        found.extend(Given(number, name, tag.get("label") or "", None) for tag in image.iter("tag"))
        for box in image.iter("box"):
            edges = [_real(box.get(key)) for key in ("xtl", "ytl", "xbr", "ybr")]
            found.append(Given(number, name, box.get("label") or "", _box(edges)))
    return found


def _json(text: str) -> tuple[Format, list[Given]]:
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ImportedError(f"this is no JSON ({error})") from error
    if isinstance(told, dict) and isinstance(told.get("annotations"), list):
        return "coco", _coco(told)
    if isinstance(told, list):
        return "label-studio", [one for task in told for one in _label_studio(task)]
    raise ImportedError("this is neither COCO nor a list of Label Studio's tasks")


def _coco(told: dict[str, Any]) -> list[Given]:
    names = {one.get("id"): one.get("name") for one in _dicts(told.get("categories"))}
    images = {one.get("id"): one for one in _dicts(told.get("images"))}
    found = []
    for one in _dicts(told["annotations"]):
        image, label = images.get(one.get("image_id")), names.get(one.get("category_id"))
        if image is None or not isinstance(label, str):
            what = "image" if image is None else "category"
            named = one.get(f"{what}_id")
            raise ImportedError(f"an annotation has the {what} {named!r}, which the file does not have")
        found.append(
            Given(_number(image.get("id")), str(image.get("file_name") or ""), label, _of_coco(one, image))
        )
    return found


def _of_coco(one: dict[str, Any], image: dict[str, Any]) -> Box | None:
    """Return the box of an annotation; None for the whole frame, and for one without a box."""
    given = one.get("bbox")
    if not isinstance(given, list) or len(given) != 4:
        return None
    left, top, width, height = (_real(edge) for edge in given)
    size = (_real(image.get("width") or 0), _real(image.get("height") or 0))
    whole = left <= 0 and top <= 0 and width >= size[0] and height >= size[1]
    return None if whole or width <= 0 or height <= 0 else (left, top, left + width, top + height)


def _label_studio(task: Any) -> list[Given]:
    if not isinstance(task, dict) or not isinstance(data := task.get("data"), dict):
        raise ImportedError("an element of the list is no task of Label Studio")
    address = next((data[key] for key in ("image", "img", "url") if isinstance(data.get(key), str)), "")
    name, number = address.rpartition("/")[2].partition("?")[0], _number(data.get("frame"))
    found: list[Given] = []
    for annotation in _dicts(task.get("annotations")):
        for result in _dicts(annotation.get("result")):
            value = result.get("value")
            if not isinstance(value, dict):
                continue
            found.extend(Given(number, name, label, None) for label in _texts(value.get("choices")))
            for label in _texts(value.get("rectanglelabels")):
                left, top, width, height = (
                    _real(value.get(key)) / 100 for key in ("x", "y", "width", "height")
                )
                found.append(Given(number, name, label, (left, top, left + width, top + height), shares=True))
    return found


def _csv(text: str) -> list[Given]:
    try:
        head = text.partition("\n")[0]
        parted = ";" if ";" in head and "," not in head else ","  # as spreadsheets of many countries write it
        reader = csv.DictReader(io.StringIO(text), strict=True, delimiter=parted)
        missing = [name for name in ("name", "label") if name not in (reader.fieldnames or ())]
        if missing:
            raise ImportedError(f"line 1: this CSV has no column {missing[0]!r}")
        lines = [(reader.line_num, one) for one in reader]
    except csv.Error as error:
        raise ImportedError(f"this is no CSV ({error})") from error
    found = []
    for line, one in lines:
        if not one["name"] or not one["label"]:
            raise ImportedError(f"line {line} is without a {'label' if one['name'] else 'name'}")
        edges = [one.get(key) for key in ("left", "top", "right", "bottom")]
        box = _box([_real(edge) for edge in edges]) if all(edges) else None
        found.append(Given(_number(one.get("frame")), bare(one["name"]), bare(one["label"]), box))
    return found


def _box(edges: list[float]) -> Box:
    left, top, right, bottom = edges
    return left, top, right, bottom


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _real(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise ImportedError(f"{value!r} is no number of a box") from error
    if not -1e9 < found < 1e9:
        raise ImportedError(f"{value!r} is no number of a box")
    return found


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
