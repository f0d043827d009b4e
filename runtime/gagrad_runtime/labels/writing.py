"""Labels as files that other tools read: CVAT 1.1, COCO, Label Studio, CSV.

A label of the whole frame is a tag, a category with the box of the frame, or a choice; one with a box is a
box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import quoteattr

import msgspec

from gagrad_runtime.labels.lines import MARK, line, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gagrad_runtime.labels.values import Format, Label, Labelled

    Frames = Callable[[], Iterator[Labelled]]
    """All frames, from the first on each time; a file of a million of them takes no memory."""


def write(frames: Frames, names: Sequence[str], form: Format) -> Iterator[bytes]:
    """Yield the file with all labels of ``frames``, piece by piece; ``names`` are those that there may be."""
    if form == "cvat":
        return _cvat(frames, names)
    if form == "coco":
        return _coco(frames, names)
    if form == "label-studio":
        return _label_studio(frames)
    return _csv(frames)


def _cvat(frames: Frames, names: Sequence[str]) -> Iterator[bytes]:
    labels = "".join(f"<label><name>{_text(name)}</name><attributes></attributes></label>" for name in names)
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        f"<meta><task><name>gagrad-edge</name><labels>{labels}</labels></task></meta>\n"
    ).encode()
    for frame in frames():
        attributes = f"id={quoteattr(str(frame.id))} name={quoteattr(_printable(frame.name))}"
        lines = [f'<image {attributes} width="{frame.width}" height="{frame.height}">']
        for one in frame.labels:
            name = quoteattr(_printable(one.label))
            if one.box is None:
                lines.append(f'<tag label={name} source="manual"></tag>')
            else:
                places = ("xtl", "ytl", "xbr", "ybr")
                box = " ".join(f'{key}="{value:.2f}"' for key, value in zip(places, one.box, strict=True))
                lines.append(f'<box label={name} source="manual" occluded="0" {box} z_order="0"></box>')
        yield ("\n".join([*lines, "</image>"]) + "\n").encode()
    yield b"</annotations>\n"


def _coco(frames: Frames, names: Sequence[str]) -> Iterator[bytes]:
    numbers = {name: number for number, name in enumerate(names, start=1)}
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    yield b'{"categories": ' + msgspec.json.encode(categories) + b',\n"images": [\n'
    for number, frame in enumerate(frames()):
        image = {
            "id": frame.id, "file_name": frame.name, "height": frame.height, "width": frame.width,
            "date_captured": moment(frame.time), "station": frame.station, "part": frame.part,
            **frame.more,
        }  # fmt: skip
        yield (b",\n" if number else b"") + msgspec.json.encode(image)
    yield b'],\n"annotations": [\n'
    first = True
    for frame in frames():
        for one in frame.labels:
            left, top, right, bottom = one.box or (0.0, 0.0, float(frame.width), float(frame.height))
            annotation = {
                "id": one.id, "image_id": frame.id, "category_id": numbers[one.label], "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top),
                "segmentation": [],
            }  # fmt: skip
            yield (b"" if first else b",\n") + msgspec.json.encode(annotation)
            first = False
    yield b"]}\n"


def _label_studio(frames: Frames) -> Iterator[bytes]:
    yield b"[\n"
    for number, frame in enumerate(frames()):
        data = {"image": frame.name, "frame": frame.id, "station": frame.station, "part": frame.part}
        results = [_result(frame, one) for one in frame.labels]
        task = {"data": {**data, **frame.more}, "annotations": [{"result": results}] if results else []}
        yield (b",\n" if number else b"") + msgspec.json.encode(task)
    yield b"]\n"


def _result(frame: Labelled, one: Label) -> dict[str, Any]:
    """Return a label as Label Studio has it: boxes are in percent of the frame."""
    base: dict[str, Any] = {"id": str(one.id), "to_name": "image", "origin": "manual"}
    if one.box is None or not frame.width or not frame.height:
        return {**base, "from_name": "label", "type": "choices", "value": {"choices": [one.label]}}
    left, top, right, bottom = one.box
    across, down = 100 / frame.width, 100 / frame.height
    value = {
        "x": left * across, "y": top * down,
        "width": (right - left) * across, "height": (bottom - top) * down,
        "rotation": 0, "rectanglelabels": [one.label],
    }  # fmt: skip
    sizes = {"original_width": frame.width, "original_height": frame.height, "image_rotation": 0}
    return {**base, **sizes, "from_name": "box", "type": "rectanglelabels", "value": value}


def _csv(frames: Frames) -> Iterator[bytes]:
    names = (
        "frame",
        "station",
        "name",
        "part",
        "time",
        "label",
        "who",
        "given",
        "left",
        "top",
        "right",
        "bottom",
    )
    yield MARK + line(names)
    for frame in frames():
        for one in frame.labels:
            box: tuple[Any, ...] = one.box or ("", "", "", "")
            head = (frame.id, frame.station, frame.name, frame.part, moment(frame.time))
            yield line((*head, one.label, one.who, moment(one.at), *box))


def _printable(text: str) -> str:
    """Return ``text`` without the characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _text(text: str) -> str:
    element = Xml.Element("x")
    element.text = _printable(text)
    return Xml.tostring(element, encoding="unicode")[3:-4]
