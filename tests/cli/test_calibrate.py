"""``gagrad-edge calibrate``, and what ``explain`` and ``predict`` do with its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from PIL import Image

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_runtime.jobs import explaining
from gagrad_runtime.jobs.calibrating import threshold_of
from gagrad_runtime.reference.file import read_reference, write_reference
from gagrad_runtime.reference.reference import Reference

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"good-{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle in a folder of its own: ``calibrate`` writes beside it."""
    (tmp_path / "line").mkdir()
    return Path(shutil.copy(tiny_bundle, tmp_path / "line" / "part.gagrad"))


@pytest.fixture
def good(bundle: Path, images: list[str]) -> Path:
    assert run(["calibrate", str(bundle), *images, "--target", "dent", *PAPER]) == 0
    return bundle.with_suffix(".good")


PAPER = ("--preset", "paper")


def explain(bundle: Path, image: str, *options: str) -> int:
    out = Path(image).parent / "out"
    return run(["explain", str(bundle), image, "-o", str(out), *options])


@pytest.mark.slow
def test_the_scale_is_the_quantile_of_what_the_parts_show(
    bundle: Path, images: list[str], good: Path
) -> None:
    """Computed again from the Python interface, which finds the file beside the bundle."""
    raw = []
    with gagrad_runtime.load(bundle) as explainer:
        assert explainer.reference is not None
        found = explainer.reference.scale
        for image in images:
            made = explainer.explain(image, "dent", preset="paper")
            assert made.scale == found
            low, high = made.raw
            raw.append(low + made.saliency * (high - low))  # 24 pixels are too few to be softened
    assert found is not None
    assert found.value == pytest.approx(float(np.quantile(np.concatenate(raw), 0.999)), rel=1e-5)
    assert (found.images, found.quantile, found.key.target) == (3, 0.999, "dent")
    with gagrad_runtime.load(bundle, good=False) as explainer:
        assert explainer.reference is None
        assert explainer.explain(images[0], "dent", preset="paper").scale is None


@pytest.mark.slow
def test_the_record_says_how_the_map_compares(
    bundle: Path, images: list[str], good: Path, capsys: Capture
) -> None:
    """One of the good parts is about 1, and the file is named by its hash; ``--no-good`` compares nothing."""
    asked = ("--target", "dent", "--json", *PAPER)
    assert explain(bundle, images[0], *asked) == 0
    record = json.loads(capsys.readouterr().out)
    assert 0.3 < record["scale"]["highest"] < 3
    assert record["scale"]["images"] == 3
    assert len(record["good"]["sha256"]) == 64
    assert explain(bundle, images[0], *asked, "--no-good") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["scale"] is None
    assert record["good"] is None


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--target", "ok"), ("--target", "dent", "--method", "vargrad")])
def test_another_question_keeps_its_own_colours(
    bundle: Path, images: list[str], good: Path, capsys: Capture, options: tuple[str, ...]
) -> None:
    """Values of another class or method have another size: what they were measured for is said."""
    preset = () if "--method" in options else PAPER
    assert explain(bundle, images[0], *options, *preset, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["scale"] is None
    assert "the colours are not compared with good parts" in said.err


@pytest.mark.slow
def test_a_part_that_does_not_fit_is_told_so(
    bundle: Path, images: list[str], good: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, and not by the name of a field."""
    monkeypatch.setattr(explaining, "disagreement", lambda *_: ("good_image", True, False))
    assert explain(bundle, images[0], "--target", "ok", *PAPER) == 0
    said = capsys.readouterr().err
    assert "not compared with good parts: this part does not look or lie as they do" in said
    assert "good image" not in said


@pytest.mark.slow
def test_a_file_of_another_bundle_is_refused_or_left_out(
    bundle: Path, images: list[str], good: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused where it is given, left out with a warning where it was only found."""
    content = read_reference(good).reference
    other = msgspec.structs.replace(content.content, bundle_sha256="1" * 64)
    write_reference(good, Reference(other, content.picture))
    assert explain(bundle, images[0], "--good", str(good)) == 2
    assert "another bundle" in capsys.readouterr().err
    assert explain(bundle, images[0]) == 0
    assert "part.good is not used" in caplog.text


@pytest.mark.slow
def test_a_scale_of_an_earlier_version(bundle: Path, images: list[str], capsys: Capture) -> None:
    """It names ``calibrate``; so does a file that is missing, and one that is nothing."""
    old = Path(images[0]).with_name("part.scale.json")
    old.write_text('{"schema": 1, "quantile": 0.999, "value": 0.1}')
    assert explain(bundle, images[0], "--good", str(old)) == 4
    said = capsys.readouterr().err
    assert "earlier gagrad-edge" in said
    assert "gagrad-edge calibrate" in said
    assert explain(bundle, images[0], "--good", "gone.good") == 4
    assert explain(bundle, images[0], "--good", str(old), "--no-good") == 2


@pytest.mark.slow
def test_bad_images_are_left_out(bundle: Path, images: list[str], tmp_path: Path, capsys: Capture) -> None:
    """Reported, exit code 3; without any good one nothing is written. A folder stands for its images."""
    path = tmp_path / "s.good"
    assert run(["calibrate", str(bundle), images[0], "gone.png", "-o", str(path)]) == 3
    assert "1 of 2 good parts" in capsys.readouterr().err
    assert read_reference(path).reference.parts == 1
    path.unlink()
    assert run(["calibrate", str(bundle), "gone.png", "-o", str(path)]) == 3
    assert not path.exists()
    folder = Path(images[0]).parent
    assert run(["calibrate", str(bundle), str(folder), "-o", str(path)]) == 0
    assert read_reference(path).reference.parts == 3


SCORER = """
<ir_version: 10, opset_import: ["" : 18]>
scorer (float[N, 3, 24, 32] x) => (float[N, 1] pred_score, float[N, 1, 24, 32] anomaly_map) {
    one = Constant <value_ints = [1]> ()
    flat = Constant <value_ints = [0, -1]> ()
    m = ReduceMean <keepdims = 1> (x, one)
    d = Mul (m, m)
    anomaly_map = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d)
    r = Reshape (anomaly_map, flat)
    pred_score = ReduceMax <keepdims = 1> (r, one)
}
"""


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    onnx.save(onnx.parser.parse_model(SCORER), tmp_path / "scorer.onnx")
    assert run(["export", str(tmp_path / "scorer.onnx"), "-o", str(tmp_path / "scorer.gagrad")]) == 0
    return tmp_path / "scorer.gagrad"


@pytest.mark.slow
def test_good_parts_give_an_anomaly_scorer_its_threshold(
    scorer: Path, images: list[str], tmp_path: Path, capsys: Capture
) -> None:
    """Half as far above their highest score as that is above their median; predict and explain use it."""
    assert run(["calibrate", str(scorer), *images]) == 0
    path = scorer.with_suffix(".good")
    assert "a part is NG" in capsys.readouterr().err
    with gagrad_runtime.load(scorer, good=False) as explainer:
        scores = [explainer.predict(image).score or 0 for image in images]
    threshold = read_reference(path).reference.threshold
    assert threshold is not None
    assert threshold == pytest.approx(threshold_of(scores), rel=1e-5)
    assert threshold > max(scores) > float(np.median(scores))
    Image.fromarray(np.full((24, 32, 3), 250, np.uint8)).save(tmp_path / "bad.png")
    parts = [*images, str(tmp_path / "bad.png")]
    assert run(["predict", str(scorer), *parts, "--json", "--no-good"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["verdict"] for one in said} == {None}
    assert run(["predict", str(scorer), *parts, "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["verdict"] for one in said] == ["OK", "OK", "OK", "NG"]
    assert run(["explain", str(scorer), parts[0], "-o", str(tmp_path / "o")]) == 0
    assert "good" in capsys.readouterr().err
