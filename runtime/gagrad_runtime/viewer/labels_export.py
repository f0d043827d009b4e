"""Labels as files that other tools read: CVAT 1.1, COCO, Label Studio, CSV.

A label of the whole frame is a tag, a category with the box of the frame, or a choice; one with a box is a
box. The last label of the whole frame counts, and every box that nobody took back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import quoteattr

import msgspec

from gagrad_runtime.viewer.export import line, moment
from gagrad_runtime.viewer.labels import labels_of, standing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from gagrad_runtime.viewer.values import Label

Format = Literal["cvat", "coco", "label-studio", "csv"]
FORMATS: dict[Format, tuple[str, str]] = {
    "cvat": ("labels.cvat.xml", "application/xml"),
    "coco": ("labels.coco.json", "application/json"),
    "label-studio": ("labels.label-studio.json", "application/json"),
    "csv": ("labels.csv", "text/csv; charset=utf-8"),
}
"""File name and type of each."""


class Labelled(NamedTuple):
    """A frame with the labels that count."""

    id: int
    station: str
    name: str
    part: str
    time: int
    height: int
    """In pixels; 0 where the station does not tell."""
    width: int
    labels: list[Label]


def labelled(connection: sqlite3.Connection) -> Iterator[Labelled]:
    """Yield every frame with a label, in the order in which they came."""
    query = (
        "SELECT frame.id, station.name, frame.name, part, time, finding, said FROM frame "
        "JOIN station ON station.id = frame.station LEFT JOIN detail ON detail.frame = frame.id "
        "WHERE label != '' ORDER BY frame.id"
    )
    for frame, station, name, part, time, finding, said in connection.execute(query):
        counting = standing(labels_of(connection, frame))
        whole = [one for one in counting if one.box is None]
        height, width = _size(finding, said)
        boxes = [one for one in counting if one.box is not None]
        yield Labelled(frame, station, name, part, time, height, width, [*whole[-1:], *boxes])


def write(connection: sqlite3.Connection, form: Format) -> Iterator[bytes]:
    """Yield the file with all labels, piece by piece."""
    if form == "cvat":
        return _cvat(connection)
    if form == "coco":
        return _coco(connection)
    if form == "label-studio":
        return _label_studio(connection)
    return _csv(connection)


def _names(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT label FROM labelled WHERE frames > 0 UNION SELECT label FROM label WHERE box IS NOT NULL"
    return sorted({name for (name,) in connection.execute(query) if name})


def _cvat(connection: sqlite3.Connection) -> Iterator[bytes]:
    labels = "".join(
        f"<label><name>{_text(name)}</name><attributes></attributes></label>" for name in _names(connection)
    )
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        f"<meta><task><name>gagrad-edge</name><labels>{labels}</labels></task></meta>\n"
    ).encode()
    for frame in labelled(connection):
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


def _coco(connection: sqlite3.Connection) -> Iterator[bytes]:
    numbers = {name: number for number, name in enumerate(_names(connection), start=1)}
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    yield b'{"categories": ' + msgspec.json.encode(categories) + b',\n"images": [\n'
    for number, frame in enumerate(labelled(connection)):
        image = {
            "id": frame.id, "file_name": frame.name, "height": frame.height, "width": frame.width,
            "date_captured": moment(frame.time), "station": frame.station, "part": frame.part,
        }  # fmt: skip
        yield (b",\n" if number else b"") + msgspec.json.encode(image)
    yield b'],\n"annotations": [\n'
    first = True
    for frame in labelled(connection):
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


def _label_studio(connection: sqlite3.Connection) -> Iterator[bytes]:
    yield b"[\n"
    for number, frame in enumerate(labelled(connection)):
        task = {
            "data": {"image": frame.name, "frame": frame.id, "station": frame.station, "part": frame.part},
            "annotations": [{"result": [_result(frame, one) for one in frame.labels]}],
        }
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


def _csv(connection: sqlite3.Connection) -> Iterator[bytes]:
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
    yield "\ufeff".encode() + line(names)
    for frame in labelled(connection):
        for one in frame.labels:
            box: tuple[Any, ...] = one.box or ("", "", "", "")
            head = (frame.id, frame.station, frame.name, frame.part, moment(frame.time))
            yield line((*head, one.label, one.who, moment(one.at), *box))


def _size(finding: str | None, said: str | None) -> tuple[int, int]:
    """Return height and width of the frame, as an event told."""
    for text in (finding, said):
        told = {} if text is None else msgspec.json.decode(text)
        height, width = told.get("height"), told.get("width")
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    return 0, 0


def _printable(text: str) -> str:
    """Return ``text`` without the characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _text(text: str) -> str:
    element = Xml.Element("x")
    element.text = _printable(text)
    return Xml.tostring(element, encoding="unicode")[3:-4]
