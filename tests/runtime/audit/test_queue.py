"""The queue: what is worth a label comes first, alike images once, and the folder is whole or not there."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")
pytest.importorskip("sklearn", reason="duplicates need the extra audit")

from gagrad_edge.errors import InputError, OutputError
from gagrad_runtime.audit.answers import LABELS, labelled, take_answers
from gagrad_runtime.audit.queue_file import QUEUE, Queue, read_queue
from gagrad_runtime.audit.queue_folder import write_queue
from gagrad_runtime.audit.queueing import candidates, chosen, why
from gagrad_runtime.audit.reading import finished
from gagrad_runtime.frame import load_frame
from tests.models import build_spec
from tests.runtime.audit.history import BEGIN, spot, write_history

SPEC = build_spec(8, 8)
USUAL = {
    "verdict": "OK", "ng": False, "margin": 0.98, "probability": 0.99, "brightness": 0.5, "contrast": 0.2,
    "sharpness": 0.1, "height": 8, "width": 8, "time": BEGIN,
}  # fmt: skip


def plain(number: int, **fields: Any) -> dict[str, Any]:
    """Return the row of a part of which nothing is worth a label."""
    shaken = {"brightness": 0.5 + 0.001 * (number % 7), "sharpness": 0.1 + 0.001 * (number % 5)}
    return {"path": f"/p/{number}.png", "phash": number * 0x1234567F12345, **USUAL, **shaken, **fields}


def mapped(row: int, column: int, **fields: Any) -> dict[str, Any]:
    """Return what an explained NG part has besides."""
    found = {"verdict": "dent", "ng": True, "explained": "ng", "map": spot(row, column), "stability": 1.0}
    return {**found, "covered": 0.1, "covered_before": 0.9, "decides": 1, "roi_share": 1.0, **fields}


def audit_of(folder: Path, special: list[dict[str, Any]]) -> Path:
    usual = [plain(number) for number in range(60)]
    usual += [plain(number, **mapped(4, 4)) for number in range(60, 90)]
    rows = [*usual, *(plain(100 + number, **one) for number, one in enumerate(special))]
    return write_history(folder / "audit", rows)


def queued(folder: Path, wanted: int, **options: Any) -> list[tuple[str, list[str]]]:
    found = candidates(folder, wanted=wanted, **options)
    paths = found.table["path"].to_pylist()
    return [(paths[index], why(found, index)) for index in chosen(found, wanted)]


def test_each_reason_brings_an_image_to_the_front(tmp_path: Path) -> None:
    """One part for each reason: they are the first ones, and each says why in words."""
    special: list[dict[str, Any]] = [
        {"margin": 0.04},
        mapped(4, 4, stability=0.4),
        mapped(4, 4, covered=0.86),
        mapped(4, 4, roi_share=0.1),
        mapped(14, 1),
        {"brightness": 0.9},
    ]
    found = dict(queued(audit_of(tmp_path, special), 6))
    assert {Path(path).stem for path in found} == {str(100 + number) for number in range(6)}
    words = [found[f"/p/{100 + number}.png"][0] for number in range(6)]
    assert words == [
        "the model is not sure: another answer is 4 % away",
        "the samples do not agree where it lies: 40 % do",
        "covering the place that the map shows leaves 96 % of the confidence",
        "the map lies outside the region of interest: 10 % is inside",
        "the map points where maps of 'dent' seldom point",
        "the picture is unlike the others: brightness 0.900",
    ]


def test_duplicates_are_out_and_likes_of_one_design_stay(tmp_path: Path) -> None:
    """Equal pixels, or hash, answer and map alike: once. An equal hash with another map is another part."""
    special = [
        {"margin": 0.0, "sha256": "a" * 64},
        {"margin": 0.0, "sha256": "a" * 64},
        {**mapped(2, 2, margin=0.0), "phash": 7},
        {**mapped(2, 2, margin=0.1), "phash": 4},
        {**mapped(12, 12, margin=0.0), "phash": 7},
    ]
    paths = [Path(path).stem for path, _ in queued(audit_of(tmp_path, special), 95)]
    assert len(set(paths)) == len(paths)
    assert len({"100", "101"} & set(paths)) == 1
    assert len({"102", "103"} & set(paths)) == 1
    assert "104" in paths


def test_the_next_one_is_unlike_those_before(tmp_path: Path) -> None:
    """Of twenty doubtful parts at one place and one elsewhere with half the reason, two have both places."""
    special = [mapped(2, 2, margin=0.1, stability=0.5) for _ in range(20)]
    special.append(mapped(13, 13, margin=0.5, stability=0.7))
    paths = [Path(path).stem for path, _ in queued(audit_of(tmp_path, special), 2)]
    assert "120" in paths


def test_an_audit_without_maps_has_a_queue(tmp_path: Path) -> None:
    """Nothing is explained: the margin alone decides; and where nothing has an answer, nothing is chosen."""
    folder = write_history(tmp_path / "a", [plain(0), plain(1, margin=0.2), plain(2)])
    assert Path(queued(folder, 2)[0][0]).stem == "1"
    rows = [{"path": "/p/0.png", "error": "no image"}]
    assert queued(write_history(tmp_path / "b", rows), 2) == []


def test_labelled_images_are_left_out(tmp_path: Path) -> None:
    """By the hash of their pixels, as lists of answers have it."""
    folder = audit_of(tmp_path, [{"margin": 0.0, "sha256": "a" * 64}, {"margin": 0.1, "sha256": "b" * 64}])
    listed = tmp_path / "labels.csv"
    listed.write_text("path,sha256\nx," + "a" * 64 + "\n")
    paths = [Path(path).stem for path, _ in queued(folder, 95, labelled=labelled([listed]))]
    assert "100" not in paths
    assert paths[0] == "101"
    listed.write_text("path\nx\n")
    with pytest.raises(InputError, match="no column `sha256`"):
        labelled([listed])


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Queue]:
    """Return the folder of a queue of four images, one of which has no map, and a fifth that is gone."""
    (tmp_path / "parts").mkdir()
    rows = []
    for number in range(5):
        path = tmp_path / "parts" / f"=part {number}.v1.png"
        Image.fromarray(np.full((20, 30, 3), 40 * number, np.uint8)).save(path)
        fields: dict[str, Any] = {"margin": 0.1, "sha256": load_frame(path).sha256, "height": 20, "width": 30}
        fields |= mapped(3, 3 * number, verdict="<dent>") if number else {}
        rows.append(plain(number, **fields) | {"path": str(path)})
        if number == 4:
            path.unlink()
    folder = write_history(tmp_path / "audit", rows)
    done = write_queue(folder, finished(folder), SPEC, ["OK", "<dent>"], tmp_path / "queue", wanted=10)
    assert done.missing == (str(tmp_path / "parts" / "=part 4.v1.png"),)
    return tmp_path / "queue", done.queue


def test_the_folder_has_what_each_tool_reads(made: tuple[Path, Queue]) -> None:
    """Images, maps beside them where CVAT looks for them, and a file for each tool that names them."""
    folder, queue = made
    assert read_queue(folder) == queue
    assert len(queue.images) == 4
    for one in queue.images:
        assert (folder / one.file).read_bytes()[:4] == b"\x89PNG"
        assert bool(one.map) == (one.row > 0)
        if one.map:
            name = Path(one.file).name.replace(".", "_")
            assert one.map == f"images/related_images/{name}/map.jpg"
            assert load_frame(folder / one.map).width == 224
    names = {Path(one.file).name for one in queue.images}
    assert all(name.count(".") == 1 and name.isascii() for name in names)
    cvat = ElementTree.fromstring((folder / "labels.cvat.xml").read_bytes())  # noqa: S314 - our own
    assert {one.get("name") for one in cvat.findall("image")} == names
    assert [one.text for one in cvat.findall("meta/task/labels/label/name")] == ["OK", "<dent>"]
    coco = json.loads((folder / "labels.coco.json").read_text())
    assert {one["file_name"] for one in coco["images"]} == names
    assert coco["annotations"] == []
    assert all(one["why"] and one["height"] == 20 for one in coco["images"])
    tasks = json.loads((folder / "labels.label-studio.json").read_text())
    assert all(task["annotations"] == [] for task in tasks)
    address = "/data/local-files/?d=queue/"
    assert {task["data"]["image"] for task in tasks} == {address + one.file for one in queue.images}
    ElementTree.fromstring((folder / "label-studio.config.xml").read_bytes())  # noqa: S314 - our own
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    assert {one["filepath"] for one in samples} == {one.file for one in queue.images}
    assert all(Path(one["saliency"]["map_path"]).is_file() for one in samples if "saliency" in one)
    assert "version" not in json.loads((folder / "metadata.json").read_text())
    lines = list(csv.DictReader((folder / "queue.csv").read_text("utf-8-sig").splitlines()))
    assert [one["sha256"] for one in lines] == [one.sha256 for one in queue.images]


def test_the_map_lies_where_the_model_sees_it(tmp_path: Path) -> None:
    """On a frame whose middle the model sees, the upper left cell is no corner of the frame."""
    from gagrad_runtime.audit.queue_folder import on_frame

    cells = np.zeros((16, 16), np.float32)
    cells[0, 0] = 1
    shown = on_frame(cells, build_spec(32, 32, resize="crop"), (40, 80), (40, 80))
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert row <= 3
    assert 20 <= column <= 24
    assert shown[:, :18].max() == 0


def test_a_folder_that_is_there_is_kept(made: tuple[Path, Queue]) -> None:
    """Labels may have been given by its numbers; and one that fails half-way leaves nothing."""
    folder, _ = made
    audit = folder.parent / "audit"
    with pytest.raises(OutputError, match="such a folder already"):
        write_queue(audit, finished(audit), SPEC, [], folder)

    def interrupted(number: int, _: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    before = sorted(path.name for path in folder.parent.iterdir())
    with pytest.raises(KeyboardInterrupt):
        write_queue(audit, finished(audit), SPEC, [], folder.parent / "other", progress=interrupted)
    assert sorted(path.name for path in folder.parent.iterdir()) == before


def test_answers_come_back_once(made: tuple[Path, Queue], tmp_path: Path) -> None:
    """A tag and a box of CVAT, Label Studio's percents, twice: one line each, with the original's path."""
    folder, queue = made
    first, second = queue.images[:2]
    name = Path(first.file).name
    cvat = tmp_path / "done.xml"
    cvat.write_text(
        f'<annotations><image id="77" name="sub/{name}" width="30" height="20"><tag label="OK"/>'
        '<box label="&lt;dent&gt;" xtl="3" ytl="4" xbr="9" ybr="8.5"/></image>'
        '<image id="1" name="strange.png"><tag label="OK"/></image></annotations>'
    )
    taken = take_answers(folder, cvat, "hana", when=BEGIN)
    assert (taken.form, taken.given, taken.there, taken.unknown) == ("cvat", 2, 0, ("strange.png",))
    assert take_answers(folder, cvat, "taro").there == 2
    studio = tmp_path / "done.json"
    box = {"x": 10, "y": 50, "width": 20, "height": 25, "rectanglelabels": ["<dent>"]}
    results = [{"value": box, "type": "rectanglelabels"}, {"value": {"choices": ["OK"]}, "type": "choices"}]
    address = f"/data/local-files/?d=queue/{second.file}"
    studio.write_text(json.dumps([{"data": {"image": address}, "annotations": [{"result": results}]}]))
    assert take_answers(folder, studio, "hana", when=BEGIN).given == 2
    lines = list(csv.DictReader((folder / LABELS).read_text().splitlines()))
    assert [(one["path"], one["label"], one["left"], one["bottom"]) for one in lines] == [
        (first.path, "OK", "", ""), (first.path, "<dent>", "3.00", "8.50"),
        (second.path, "<dent>", "3.00", "15.00"), (second.path, "OK", "", ""),
    ]  # fmt: skip
    assert {(one["who"], one["when"]) for one in lines} == {("hana", "2026-09-07T06:00:00Z")}
    assert labelled([folder / LABELS]) == {first.sha256, second.sha256}


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("answers", b"<annotations>", "this is no XML"),
        ("answers", b"\xff\xfe", "no text in UTF-8"),
        (LABELS, b"path,label\n", "no list with the columns"),
        (QUEUE, b"{", "the queue cannot be read"),
    ],
)
def test_damaged_files_are_said(made: tuple[Path, Queue], file: str, data: bytes, said: str) -> None:
    """A file that is none, and a list or a queue that somebody broke: the error names it, nothing changes."""
    folder, _ = made
    answers = folder / "answers"
    answers.write_text("name,label\nx,OK\n")
    (folder / file).write_bytes(data)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(InputError, match=said) as error:
        take_answers(folder, answers, "hana")
    assert str(folder / file) in str(error.value)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_corrected_label_replaces_the_earlier_one(made: tuple[Path, Queue], tmp_path: Path) -> None:
    """Of a whole image, and only where a later file says otherwise; boxes stay."""
    folder, queue = made
    (folder / LABELS).unlink(missing_ok=True)
    first, second = (Path(one.file).name for one in queue.images[:2])
    file = tmp_path / "a.csv"
    file.write_text(f"name;label\n{first};OK\n{second};OK\n")
    assert take_answers(folder, file, "hana").given == 2
    file.write_text(f"name,label,left,top,right,bottom\n{first},NG,,,,\n{first},dent,1,2,3,4\n")
    taken = take_answers(folder, file, "taro")
    assert (taken.given, taken.replaced) == (2, 1)
    lines = list(csv.DictReader((folder / LABELS).read_text().splitlines()))
    assert [one["label"] for one in lines] == ["OK", "NG", "dent"]
    assert take_answers(folder, file, "taro").replaced == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PNG", "line 1: this CSV has no column 'name'"),
        (b"name,label\na.png,OK\nb.png,\n", "line 3 is without a label"),
        ("name,label\na.png,Krätzer\n".encode("latin-1"), "line 2 is no text in UTF-8"),
        (b"<html><body/></html>", "it begins with <html>"),
    ],
)
def test_files_that_are_no_answers(made: tuple[Path, Queue], tmp_path: Path, data: bytes, said: str) -> None:
    """Also without a line: what is wrong is said with its line, and what is read is in the hint."""
    file = tmp_path / "answers"
    file.write_bytes(data)
    with pytest.raises(InputError, match=said) as caught:
        take_answers(made[0], file, "hana")
    assert "CVAT 1.1" in str(caught.value.hint)
