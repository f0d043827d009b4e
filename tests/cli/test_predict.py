"""``predict`` says what the model says, as a line for people or an object for programs."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_runtime.report.prediction_record import PredictionRecord
from tests.detector import write_detector

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    generator = np.random.Generator(np.random.Philox(1))
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return [str(path) for path in paths]


def test_a_line_for_each_image(tiny_bundle: Path, images: list[str], capsys: Capture) -> None:
    """The line has the class and its probability, as ``Explainer.predict`` gives them, on stdout."""
    assert run(["predict", str(tiny_bundle), *images]) == 0
    lines = capsys.readouterr().out.splitlines()
    with gagrad_runtime.load(tiny_bundle) as explainer:
        for line, image in zip(lines, images, strict=True):
            assert line.startswith(f"{image}: {explainer.predict(image).answer}")


def test_json_has_the_classes_and_no_other_fields(
    tiny_bundle: Path, images: list[str], capsys: Capture
) -> None:
    """One object a line, valid by the published structure; fields of other tasks are left out."""
    assert run(["predict", str(tiny_bundle), *images, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        found = msgspec.json.decode(line, type=PredictionRecord)
        assert isinstance(found.classes, list)
        assert sum(one.probability or 0 for one in found.classes) == pytest.approx(1, abs=1e-5)
        assert found.classes[0].name == found.answer.split()[0]
        assert set(json.loads(line)) == {"schema", "file", "height", "width", "task", "answer", "classes"}
        assert (found.height, found.width) == (40, 60)


def test_a_bad_image_is_reported_and_the_rest_goes_on(
    tiny_bundle: Path, images: list[str], tmp_path: Path, capsys: Capture
) -> None:
    """Exit code 3, the error on stderr and as an object among the lines of JSON."""
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = str(tmp_path / "broken.png")
    assert run(["predict", str(tiny_bundle), images[0], broken, images[1], "--json"]) == 3
    said = capsys.readouterr()
    objects = [json.loads(line) for line in said.out.splitlines()]
    assert [one["file"] for one in objects] == [images[0], broken, images[1]]
    assert objects[1]["error"]["exit_code"] == 3
    assert "broken.png" in said.err
    assert "2 of 3 images could be used" in said.err


@pytest.mark.slow
def test_pictures_of_what_the_model_finds(tmp_path: Path, images: list[str], capsys: Capture) -> None:
    """One for each image; the same again is the same file, and another image of that name is another file."""
    bundle = write_detector(tmp_path / "detector.gagrad")
    out = tmp_path / "out"
    marked = np.full((64, 96, 3), 90, np.uint8)
    marked[20:44, 30:54] = (220, 40, 40)
    Image.fromarray(marked).save(images[0])
    assert run(["predict", str(bundle), images[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["detections"][0]["class"] == "scratch"
    for _ in range(2):
        assert run(["predict", str(bundle), *images, "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0.predicted.png", "1.predicted.png"]
    (tmp_path / "other").mkdir()
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(tmp_path / "other" / "0.png")
    assert run(["predict", str(bundle), str(tmp_path / "other" / "0.png"), "-o", str(out)]) == 0
    assert (out / "0-2.predicted.png").exists()
    capsys.readouterr()
