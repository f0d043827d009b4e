"""``gagrad-edge explain`` with a detector, as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from gagrad_edge.cli import run
from tests.detector import marked

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, Path]:
    """Return a part with a scratch and a dent, and a good one."""
    Image.fromarray(marked((40, 40, 0), (136, 88, 1))).save(tmp_path / "bad.png")
    Image.fromarray(marked()).save(tmp_path / "good.png")
    return tmp_path / "bad.png", tmp_path / "good.png"


def explain(bundle: Path, *images: Path, options: tuple[str, ...] = ()) -> int:
    return run(["explain", str(bundle), *map(str, images), "-o", str(images[0].parent / "out"), *options])


@pytest.mark.slow
def test_all_detections_have_files_of_their_own(
    detector_bundle: Path, images: tuple[Path, Path], capsys: Capture
) -> None:
    """Named by number and class; a good part has none, and its line says why."""
    assert explain(detector_bundle, *images, options=("--detection", "all", "--json")) == 0
    said = capsys.readouterr()
    first, second, good = map(json.loads, said.out.splitlines())
    assert [one["class"] for one in first["detections"]] == ["scratch", "dent"]
    assert (first["target"]["detection"], second["target"]["detection"]) == (1, 2)
    assert second["target"]["box"] == second["detections"][1]["box"]
    assert (first["task"], good["detections"]) == ("detection", [])
    assert "nothing found" in said.err
    assert {path.name for path in (images[0].parent / "out").glob("*.json")} == {
        "bad.1-scratch.json",
        "bad.2-dent.json",
    }


@pytest.mark.slow
def test_one_detection_by_number_or_box(
    detector_bundle: Path, images: tuple[Path, Path], capsys: Capture
) -> None:
    """The line for people names class, probability and box; without an option the best is explained."""
    bad, _ = images
    assert explain(detector_bundle, bad, options=("--detection", "2")) == 0
    assert explain(detector_bundle, bad, options=("--box", "120,80,160,110")) == 0
    assert explain(detector_bundle, bad) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == ["dent", "dent", "scratch"]
    assert " % at 1" in lines[0]
    assert {path.name for path in (bad.parent / "out").glob("*.json")} == {"bad.json", "bad.2-dent.json"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--detection", "7"), 3, "--detection: there is no detection 7"),
        (("--detection", "none"), 2, "neither a number from 1 nor 'all'"),
        (("--box", "1,2,3"), 2, "not four numbers"),
        (("--box", "0,110,9,120"), 3, "1: scratch"),
        (("--detection", "all", "--target", "dent"), 2, "leave out --each or --target"),
        (("--target", "xyz"), 3, "Valid choices: scratch, dent, stain"),
        (("--region", "0,0,9,9"), 3, "with --box"),
    ],
)
def test_wrong_questions(
    detector_bundle: Path,
    images: tuple[Path, Path],
    capsys: Capture,
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    """Each message says what can be asked of this model on this image."""
    assert explain(detector_bundle, images[0], options=options) == code
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_page_of_detections_goes_on(
    detector_bundle: Path, images: tuple[Path, Path], capsys: Capture
) -> None:
    """Each detection has a card, a good part has one too, and a second run says the same without work."""
    options = ("--detection", "all", "--html", "--json")
    assert explain(detector_bundle, *images, options=options) == 0
    first = capsys.readouterr()
    assert explain(detector_bundle, *images, options=options) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert len(first.out.splitlines()) == 3
    assert "2 were explained before" in second.err
    page = (images[0].parent / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("<article ") == 3
    assert page.count("nothing found") == 1
