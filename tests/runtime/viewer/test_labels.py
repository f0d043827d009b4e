"""Labels: appended and never changed, exported to other tools and read back."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gagrad_runtime.labels.reading import ImportedError, read
from gagrad_runtime.labels.values import FORMATS, Format
from gagrad_runtime.viewer.labels import LabelError
from gagrad_runtime.viewer.viewer import Viewer
from tests.runtime.viewer.sending import explained, got, sent, value, verdict, viewing


def _label(
    viewer: Viewer, number: int, label: str, box: tuple[float, float, float, float] | None = None
) -> None:
    asyncio.run(viewer.queries.label(number, label, "hana", box))


def test_a_label_is_appended_with_who_and_when(tmp_path: Path) -> None:
    """The newest counts, undo brings the one before back, and every step stays in the list."""
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1))
        _label(viewer, 1, "  dent ")
        _label(viewer, 1, "へこみ")
        taken = asyncio.run(viewer.queries.take_back(1, "taro"))
        assert taken is not None
        assert (taken.label, taken.who) == ("", "taro")
        frame = asyncio.run(viewer.queries.frame(1))
        assert frame is not None
        assert frame.row.label == "dent"
        assert [(one.label, one.who) for one in frame.labels] == [
            ("dent", "hana"),
            ("へこみ", "hana"),
            ("", "taro"),
        ]
        assert all(one.at > 1_700_000_000 for one in frame.labels)
        asyncio.run(viewer.queries.take_back(1, "taro"))
        assert asyncio.run(viewer.queries.take_back(1, "taro")) is None
        frame = asyncio.run(viewer.queries.frame(1))
        assert frame is not None
        assert frame.row.label == ""


def test_no_label_is_changed(tmp_path: Path) -> None:
    """The database itself refuses to change a label."""
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1))
        _label(viewer, 1, "dent")
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            viewer.database.write(lambda one: one.execute("UPDATE label SET label = 'ok'")).result()
        assert value(viewer, "SELECT label FROM label") == "dent"


@pytest.mark.parametrize("label", ["", "  ", "a" * 201, "a\x00b", "\u202e"])
def test_what_is_no_label_is_refused(tmp_path: Path, label: str) -> None:
    """An empty, endless or unprintable text is no label, and neither is one of a frame that is not there."""
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1))
        with pytest.raises(LabelError):
            _label(viewer, 1, label)
        with pytest.raises(LabelError):
            _label(viewer, 99, "dent")
        assert value(viewer, "SELECT count(*) FROM label") == 0


def _labelled(viewer: Viewer) -> None:
    events = [
        verdict(1, file="day/=1+1.png"),
        explained(2, 1, file="day/=1+1.png"),
        verdict(3),
        explained(4, 3),
    ]
    assert set(sent(viewer, *events)) == {204}
    _label(viewer, 1, '<傷> & "scratch"')
    _label(viewer, 2, "dent", (10.0, 20.0, 60.0, 50.0))
    _label(viewer, 2, "=stain")


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_exported_can_be_imported(tmp_path: Path, form: Format) -> None:
    """In each form all labels come back to a viewer with the frames, and a second time none is new."""
    with viewing(tmp_path / "a") as viewer:
        _labelled(viewer)
        data = got(viewer, f"/export/labels/{form}").content
    assert read(data)[0] == form
    with viewing(tmp_path / "b") as viewer:
        sent(
            viewer,
            verdict(1, file="day/=1+1.png"),
            explained(2, 1, file="day/=1+1.png"),
            verdict(3),
            explained(4, 3),
        )
        done = asyncio.run(viewer.queries.import_labels(data, "taro"))
        assert (done.given, done.there, done.unknown) == (3, 0, 0)
        again = asyncio.run(viewer.queries.import_labels(data, "taro"))
        assert (again.given, again.there, again.unknown) == (0, 3, 0)
        frames = [asyncio.run(viewer.queries.frame(number)) for number in (1, 2)]
        found = {(one.label, one.box, one.source) for frame in frames if frame for one in frame.labels}
        assert found == {
            ('<傷> & "scratch"', None, form), ("dent", (10.0, 20.0, 60.0, 50.0), form), ("=stain", None, form)
        }  # fmt: skip


def test_each_form_is_what_its_tool_reads(tmp_path: Path) -> None:
    """CVAT has its head and boxes, COCO segmentations and sizes, Label Studio percents, CSV no formulas."""
    with viewing(tmp_path) as viewer:
        _labelled(viewer)
        cvat = ElementTree.fromstring(got(viewer, "/export/labels/cvat").content)  # noqa: S314 - our own
        assert cvat.findtext("version") == "1.1"
        assert {one.text for one in cvat.findall("meta/task/labels/label/name")} == {
            '<傷> & "scratch"', "dent", "=stain"
        }  # fmt: skip
        assert cvat.find("image/box").get("xtl") == "10.00"  # type: ignore[union-attr]
        coco = json.loads(got(viewer, "/export/labels/coco").content)
        assert {tuple(one["bbox"]) for one in coco["annotations"]} == {(0, 0, 224, 224), (10, 20, 50, 30)}
        assert all(one["segmentation"] == [] for one in coco["annotations"])
        studio = json.loads(got(viewer, "/export/labels/label-studio").content)
        box = next(one for one in studio[1]["annotations"][0]["result"] if one["type"] == "rectanglelabels")
        assert box["value"]["x"] == pytest.approx(1000 / 224)
        lines = list(csv.reader(io.StringIO(got(viewer, "/export/labels/csv").text)))
        assert {line[5] for line in lines[1:]} == {'<傷> & "scratch"', "dent", "'=stain"}
        assert not any(cell.startswith(("=", "+", "@")) for line in lines for cell in line)


def test_labels_of_unknown_images_are_counted(tmp_path: Path) -> None:
    """An image that no frame has is told by its name; the number alone is not believed."""
    text = "frame,name,label\n1,other.png,dent\n7,part-1.png,dent\n"
    with viewing(tmp_path) as viewer:
        sent(viewer, verdict(1))
        done = asyncio.run(viewer.queries.import_labels(text.encode(), "taro"))
        assert (done.given, done.unknown, done.first_unknown) == (1, 1, "other.png")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe\x00", b"<a", b"[1]", b"{}", b'{"annotations": [{}]}', b"name\nx\n", b"[" * 100_000,
     b"name,label,left,top,right,bottom\na.png,x,1,2,3,inf\n",
     b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><annotations><image name="&b;"/></annotations>',
     b'<annotations><image name="a"><box label="x" xtl="1e999" ytl="0" xbr="1" ybr="1"/></image></a>'.replace(
         b"</a>", b"</annotations>")],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(data: bytes) -> None:
    """Damaged files, one of nothing, numbers that are none and XML with entities are errors, and no crash."""
    with pytest.raises(ImportedError):
        read(data)


def test_a_list_of_an_audit_comes_first(tmp_path: Path) -> None:
    """By the pixels' hash, in its order and with its reasons, until there is a label; a new list counts."""
    with viewing(tmp_path) as viewer:
        events = [verdict(number, sha256=f"{number:064x}") for number in (1, 3, 5)]
        events += [explained(6, 5), verdict(7, sha256="7" * 64), explained(8, 7)]
        assert set(sent(viewer, *events)) == {204}
        path = viewer.database.folder / "queue.json"
        listed = [
            {"sha256": f"{number:064x}", "reasons": {"roi": 0.4, "margin": 0.9, "novelty": 0.1}, "number": 1}
            for number in (5, 99, 1)
        ]
        path.write_text(json.dumps({"schema": 1, "images": [*listed, {"sha256": "none"}]}))
        queue = asyncio.run(viewer.queries.queue())
        assert [item.row.name for item in queue.items] == ["part-5.png", "part-1.png", "part-7.png"]
        assert [item.why for item in queue.items[:2]] == [("margin", "roi")] * 2
        assert queue.waiting == 3
        page = got(viewer, "/queue", accept="text/html").text
        assert "Its map lies outside the region of interest." in page
        _label(viewer, queue.items[0].row.id, "dent")
        after = asyncio.run(viewer.queries.queue(station="line-1"))
        assert [item.row.name for item in after.items] == ["part-1.png", "part-7.png"]
        assert asyncio.run(viewer.queries.queue(station="line-2")).items == ()
        path.write_text("{")
        assert [item.row.name for item in asyncio.run(viewer.queries.queue()).items] == ["part-7.png"]
