"""``gagrad-edge explain`` of many images: the page, a run that goes on, folders, a wrong target."""

from __future__ import annotations

import csv
import io
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.cli import run
from gagrad_runtime.session.explainer import Explainer

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three images."""
    (tmp_path / "frames").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "frames" / f"{number}.png")
    return tmp_path / "frames"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of frames that are explained, in order."""
    made: list[str] = []
    explain = Explainer.explain

    def counted(self: Explainer, frame: object, *rest: object, **settings: object) -> object:
        made.append(frame.name)  # type: ignore[attr-defined]
        return explain(self, frame, *rest, **settings)  # type: ignore[call-overload]

    monkeypatch.setattr(Explainer, "explain", counted)
    return made


def explain(bundle: Path, source: Path, out: Path, *options: str) -> int:
    return run(["explain", str(bundle), str(source), "-o", str(out), "--samples", "4", *options])


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "index.csv").read_bytes().decode("utf-8-sig"))))


@pytest.mark.slow
def test_a_folder_has_its_page(
    tiny_bundle: Path, folder: Path, tmp_path: Path, calls: list[str], capsys: Capture
) -> None:
    """A second run keeps all three; what changed, was deleted or is asked otherwise is explained again."""
    out = tmp_path / "out"
    assert explain(tiny_bundle, folder, out, "--html") == 0
    assert calls == ["0.png", "1.png", "2.png"]
    assert [row["file"] for row in table(out)] == [str(folder / f"{n}.png") for n in range(3)]
    assert (out / "index.html").read_text(encoding="utf-8").count("<article ") == 3
    page = (out / "index.html").read_bytes()
    assert explain(tiny_bundle, folder, out, "--html") == 0
    assert calls == ["0.png", "1.png", "2.png"]
    assert (out / "index.html").read_bytes() == page
    assert "3 were explained before" in capsys.readouterr().err
    shutil.copy(folder / "0.png", folder / "1.png")
    (out / "2.json").unlink()
    assert explain(tiny_bundle, folder, out, "--html") == 0
    assert calls[3:] == ["1.png", "2.png"]
    assert explain(tiny_bundle, folder, out, "--html", "--seed", "1") == 0
    assert len(calls) == 8


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on(
    tiny_bundle: Path, folder: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves a page of what is done, and the next run makes the rest."""
    counted = Explainer.explain

    def stopped(self: Explainer, frame: object, *rest: object, **settings: object) -> object:
        if len(calls) == 2:
            raise KeyboardInterrupt
        return counted(self, frame, *rest, **settings)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Explainer, "explain", stopped)
        assert explain(tiny_bundle, folder, tmp_path / "out", "--html") == 130
    assert len(table(tmp_path / "out")) == 2
    assert explain(tiny_bundle, folder, tmp_path / "out", "--html") == 0
    assert calls == ["0.png", "1.png", "2.png"]
    assert len(table(tmp_path / "out")) == 3


@pytest.mark.slow
def test_json_of_what_is_kept(tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture) -> None:
    """A script gets the same records from the run that goes on."""
    for _ in range(2):
        assert explain(tiny_bundle, folder, tmp_path / "out", "--html", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 6
    assert lines[:3] == lines[3:]


@pytest.mark.slow
def test_errors_are_on_the_page_and_tried_again(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A broken image has a card, and is explained when it has been mended."""
    (folder / "1.png").write_bytes(b"no image")
    assert explain(tiny_bundle, folder, tmp_path / "out", "--html") == 3
    assert [bool(row["error"]) for row in table(tmp_path / "out")] == [False, True, False]
    shutil.copy(folder / "0.png", folder / "1.png")
    assert explain(tiny_bundle, folder, tmp_path / "out", "--html") == 0
    assert "2 were explained before" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--target", "--against"])
@pytest.mark.parametrize("name", ["scrach", "7", "nothing like it"])
def test_a_wrong_class_is_told_once(
    tiny_bundle: Path, folder: Path, tmp_path: Path, calls: list[str], capsys: Capture, option: str, name: str
) -> None:
    """Before the work, with the classes that there are, and no image is touched."""
    assert explain(tiny_bundle, folder, tmp_path / "out", option, name) == 3
    said = capsys.readouterr().err
    assert said.count("Error") == 1
    assert option in said
    assert calls == []
    assert not any((tmp_path / "out").iterdir())


def test_full_size_files(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    """``--full`` adds two files for each image, and the record names them."""
    assert explain(tiny_bundle, folder / "0.png", tmp_path / "out", "--full") == 0
    record = json.loads((tmp_path / "out" / "0.json").read_text())
    assert record["files"]["full"] == "0.explained-full.png"
    with Image.open(tmp_path / "out" / record["files"]["full_map"]) as bare:
        assert bare.size == (60, 40)
