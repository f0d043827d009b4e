"""``gagrad-edge calibrate`` and ``explain --scale``: from good parts to a calm picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_runtime.jobs.calibrating import threshold_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"good-{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def scale(tiny_bundle: Path, images: list[str], tmp_path: Path) -> Path:
    path = tmp_path / "part.scale.json"
    assert run(["calibrate", str(tiny_bundle), *images, "-o", str(path), "--target", "dent"]) == 0
    return path


def explain(bundle: Path, image: str, scale: Path, *options: str) -> int:
    out = scale.parent / "out"
    return run(["explain", str(bundle), image, "-o", str(out), "--scale", str(scale), *options])


@pytest.mark.slow
def test_the_scale_is_the_quantile_of_what_the_parts_show(
    tiny_bundle: Path, images: list[str], scale: Path
) -> None:
    """Computed again from the Python interface; the file says what it was made of."""
    import gagrad_runtime

    raw = []
    with gagrad_runtime.load(tiny_bundle) as explainer:
        for image in images:
            made = explainer.explain(image, "dent")
            low, high = made.raw
            raw.append(low + made.saliency * (high - low))  # 24 pixels are too few to be softened
    found = json.loads(scale.read_text())
    assert found["value"] == pytest.approx(float(np.quantile(np.concatenate(raw), 0.999)), rel=1e-5)
    assert found["images"] == 3
    assert found["quantile"] == 0.999
    assert found["question"]["target"] == "dent"


@pytest.mark.slow
def test_the_record_says_how_the_map_compares(
    tiny_bundle: Path, images: list[str], scale: Path, capsys: Capture
) -> None:
    """One of the good parts is about 1; the raw range stays in the record."""
    assert explain(tiny_bundle, images[0], scale, "--target", "dent", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert 0.3 < record["scale"]["highest"] < 3
    assert record["scale"]["images"] == 3
    assert record["raw"][1] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "ok"), "target dent"),
        (("--target", "dent", "--against", "ok"), "against none"),
        (("--target", "dent", "--method", "vargrad"), "method guided-absolutegrad"),
        (("--target", "dent", "--percentile", "0.5"), "percentile 0.85"),
        (("--target", "dent", "--noise-std", "0.3"), "noise_std"),
    ],
)
def test_another_question_is_refused(
    tiny_bundle: Path, images: list[str], scale: Path, capsys: Capture, options: tuple[str, ...], words: str
) -> None:
    """Values of another class or method have another size."""
    assert explain(tiny_bundle, images[0], scale, *options) == 2
    assert words in capsys.readouterr().err


def test_another_bundle_is_refused(
    tiny_bundle: Path, images: list[str], scale: Path, capsys: Capture
) -> None:
    """A scale of another bundle exits with 2."""
    found = json.loads(scale.read_text()) | {"bundle_sha256": "1" * 64}
    scale.write_text(json.dumps(found))
    assert explain(tiny_bundle, images[0], scale, "--target", "dent") == 2
    assert "another bundle" in capsys.readouterr().err


def test_a_file_that_is_no_scale(tiny_bundle: Path, images: list[str], scale: Path, capsys: Capture) -> None:
    """A file that is no scale, or is missing, exits with 2 and names calibrate."""
    scale.write_text("{}")
    assert explain(tiny_bundle, images[0], scale) == 2
    assert explain(tiny_bundle, images[0], scale.parent / "gone.json") == 2
    assert "calibrate" in capsys.readouterr().err


def test_bad_images_are_left_out(tiny_bundle: Path, images: list[str], tmp_path: Path) -> None:
    """Reported, exit code 3; without any good one nothing is written."""
    path = tmp_path / "s.json"
    assert run(["calibrate", str(tiny_bundle), images[0], "gone.png", "-o", str(path)]) == 3
    assert json.loads(path.read_text())["images"] == 1
    path.unlink()
    assert run(["calibrate", str(tiny_bundle), "gone.png", "-o", str(path)]) == 3
    assert not path.exists()


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
    path = tmp_path / "scorer.scale.json"
    assert run(["calibrate", str(scorer), *images, "-o", str(path)]) == 0
    assert "a part is NG" in capsys.readouterr().err
    with gagrad_runtime.load(scorer) as explainer:
        scores = [explainer.predict(image).score or 0 for image in images]
    threshold = json.loads(path.read_text())["threshold"]
    assert threshold == pytest.approx(threshold_of(scores), rel=1e-5)
    assert threshold > max(scores) > float(np.median(scores))
    Image.fromarray(np.full((24, 32, 3), 250, np.uint8)).save(tmp_path / "bad.png")
    parts = [*images, str(tmp_path / "bad.png")]
    assert run(["predict", str(scorer), *parts, "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["verdict"] for one in said} == {None}
    assert run(["predict", str(scorer), *parts, "--json", "--scale", str(path)]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["verdict"] for one in said] == ["OK", "OK", "OK", "NG"]
    assert run(["explain", str(scorer), parts[0], "-o", str(tmp_path / "o"), "--scale", str(path)]) == 0
    assert "good" in capsys.readouterr().err
