"""The Python interface as a notebook meets it: predict, lists, keywords, reprs, pictures."""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gagrad_runtime
from gagrad_edge.errors import FrameError, OutputError, SettingError, TargetError
from gagrad_runtime.question.settings import NAMES, Settings
from gagrad_runtime.session.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_a_prediction_lists_the_classes(explainer: Explainer, frame: np.ndarray) -> None:
    """Best first, as (name, probability); the answer is the first, and the one that is explained."""
    said = explainer.predict(frame)
    assert said.classes[0][0] == said.target.name
    assert {name for name, _ in said.classes} == set(explainer.manifest.output.classes)
    chances = [probability for _, probability in said.classes]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=1e-5)
    assert said.probability == chances[0]
    explanation = explainer.explain(frame)
    assert explanation.target == said.target
    np.testing.assert_array_equal(explanation.scores, said.scores)


def test_scores_are_the_models(explainer: Explainer, frame: np.ndarray) -> None:
    """``scores`` takes images as the model gets them, many at a time."""
    from gagrad_runtime.frame.image import prepare

    image, _ = prepare(gagrad_runtime.load_frame(frame), explainer.manifest.input)
    both = explainer.scores(np.concatenate([image, image[..., ::-1]]))
    np.testing.assert_allclose(both[0], explainer.predict(frame).scores, atol=1e-5)
    assert both.shape == (2, 3)


def test_frames_in_a_list_come_in_order(explainer: Explainer, frame: np.ndarray, tmp_path: Path) -> None:
    """A list, a tuple and a generator yield explanations one by one, each equal to its own call."""
    Image.fromarray(frame[::-1].copy()).save(tmp_path / "b.png")
    frames: list[Any] = [frame, tmp_path / "b.png"]
    expected = [explainer.explain(one, samples=4).saliency for one in frames]
    for many in (frames, tuple(frames), (one for one in frames)):
        found = explainer.explain(many, samples=4)
        assert iter(found) is found
        for explanation, saliency in zip(found, expected, strict=True):
            np.testing.assert_array_equal(explanation.saliency, saliency)


def test_a_list_is_explained_lazily(explainer: Explainer, frame: np.ndarray) -> None:
    """Settings are checked at the call; a bad frame ends the list when its turn comes."""
    with pytest.raises(SettingError):
        explainer.explain([frame], samples=0)
    with pytest.raises(FrameError, match="open file"):
        explainer.explain(io.BytesIO(b"lines"))  # type: ignore[call-overload]
    found = explainer.explain([frame, "gone.png"], samples=4)
    assert next(found).samples == 4
    with pytest.raises(FrameError, match="gone"):
        next(found)


def test_bgr_is_rgb_turned(explainer: Explainer, frame: np.ndarray) -> None:
    """``colour="bgr"`` gives the map of the same picture, in explain, refine and predict."""
    bgr = frame[..., ::-1]
    expected = explainer.explain(frame)
    np.testing.assert_array_equal(explainer.explain(bgr, colour="bgr").saliency, expected.saliency)
    *_, last = explainer.refine(bgr, colour="bgr")
    np.testing.assert_allclose(last.saliency, expected.saliency, atol=1e-4)
    np.testing.assert_array_equal(
        explainer.predict(bgr, colour="bgr").scores, explainer.predict(frame).scores
    )


@pytest.mark.parametrize("function", [Explainer.explain, Explainer.refine, Settings.of])
def test_every_setting_is_a_keyword_with_a_type(function: Any) -> None:
    """What an editor completes is what Settings lists, in its order, with None for the default."""
    parameters = inspect.signature(function).parameters
    keywords = [name for name in parameters if name in NAMES]
    assert keywords == [field.name for field in fields(Settings)]
    for name in keywords:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
        assert str(parameters[name].annotation).endswith("| None"), name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sample": 4}, "no setting 'sample'\n.*did you mean samples"),
        ({"color": "bgr"}, "no setting 'color'\n.*did you mean colour"),
        ({"frobnicate": 4}, "no setting 'frobnicate'\n.*method, guide, samples"),
        ({"method": "gradcam"}, "no method 'gradcam'\n.*did you mean grad-cam"),
        ({"guide": "papper"}, "no guide 'papper'\n.*did you mean paper"),
        ({"samples": "20"}, "samples: '20' is not a whole number"),
        ({"samples": 20.0}, "samples: 20.0 is not a whole number"),
        ({"noise_std": "much"}, "noise_std: 'much' is not a number"),
        ({"percentile": float("nan")}, "percentile: nan is out of range"),
    ],
    ids=str,
)
def test_a_wrong_keyword_names_the_right_one(
    explainer: Explainer, frame: np.ndarray, settings: dict[str, Any], words: str
) -> None:
    """In explain and in refine, before any work."""
    for call in (explainer.explain, explainer.refine):
        with pytest.raises(SettingError, match=words):
            call(frame, **settings)


def test_numbers_of_numpy_are_numbers(explainer: Explainer, frame: np.ndarray) -> None:
    """They come from arrays of settings; the record is JSON all the same."""
    found = explainer.explain(
        frame, np.int64(1), samples=np.int32(4), seed=np.int64(3), noise_std=np.float32(0.25)
    )
    assert json.loads(json.dumps(found.record()))["method"]["noise_std"] == 0.25
    assert found.target.index == (1,)


def test_no_message_speaks_of_options(explainer: Explainer, frame: np.ndarray) -> None:
    """The library names parameters; the command line adds the dashes."""
    calls: list[dict[str, Any]] = [
        {"target": "scrach"},
        {"target": 9},
        {"target": 1.5},
        {"target": 0, "against": 0},
        {"region": (0, 0, 9, 9)},
        {"guide": "x"},
        {"guide": "paper", "method": "gradient"},
        {"method": "x"},
        {"method": "gradient", "budget_ms": 5},
        {"method": "gradient", "perturb": "shift=2"},
        {"perturb": "shaft=2"},
        *({name: -1} for name in ("samples", "seed", "chunk", "percentile", "noise_std", "baseline")),
    ]
    for call in calls:
        with pytest.raises((SettingError, TargetError)) as caught:
            explainer.explain(frame, **call)
        assert "--" not in str(caught.value), call
        assert caught.value.where in call, call


@pytest.mark.parametrize("room", ["explanation", "frame", "question", "report"])
def test_no_text_of_the_library_has_an_option(root: Path, room: str) -> None:
    """No string besides the docstrings spells ``--option``: messages fit notebook and command line."""
    for path in (root / "runtime" / "gagrad_runtime" / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                assert not re.search(r"(^|[\s(`])--[a-z]", node.value), (path.name, node.value)


def test_reprs_are_short(explainer: Explainer, frame: np.ndarray) -> None:
    """One line of less than 200 characters that says what a person wants to know."""
    explanation = explainer.explain(frame, "dent", against="scratch", rcap=True)
    values = {
        "Explanation(": explanation,
        "Explainer(": explainer,
        "Frame('array', 48 high, 64 wide, uint8 RGB": explanation.frame,
        "Prediction(": explainer.predict(frame),
        "Target('dent' and not 'scratch'": explanation.target,
        "Report(": gagrad_runtime.Report(explanation),
    }
    for start, value in values.items():
        text = repr(value)
        assert text.startswith(start)
        assert len(text) < 200, text
        assert "\n" not in text
    assert "RCAP" in repr(explanation)
    assert " %" in repr(explainer.predict(frame))


def test_an_explanation_shows_itself(explainer: Explainer, frame: np.ndarray) -> None:
    """A notebook draws ``_repr_png_``; ``picture`` is the same pixels; ``record`` is plain data."""
    explanation = explainer.explain(frame)
    picture = explanation.picture()
    assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(explanation._repr_png_()))), picture)
    record = explanation.record()
    assert record["target"]["name"] == explanation.target.name
    assert record == explanation.record()


def test_show_without_a_screen_says_what_to_do(
    explainer: Explainer, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device without a desktop the picture can be saved; in a notebook it is displayed."""
    import sys
    from types import ModuleType, SimpleNamespace

    explanation = explainer.explain(frame, samples=4)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform == "linux":
        with pytest.raises(OutputError, match=r"save\(directory\)"):
            explanation.show()
    shown: list[bytes] = []
    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = object
    ipython.display = SimpleNamespace(Image=lambda data: data, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    explanation.show()
    assert shown == [explanation._repr_png_()]


def test_a_report_adds_a_region_and_leaves_the_explanation(
    explainer: Explainer, frame: np.ndarray, tmp_path: Path
) -> None:
    """Region and limit are the report's; a limit without a region is refused."""
    (tmp_path / "roi.json").write_text('{"inside": [[[0, 0], [64, 0], [64, 48], [0, 48]]]}')
    explanation = explainer.explain(frame, samples=4)
    report = gagrad_runtime.Report(explanation, roi=tmp_path / "roi.json", roi_limit=0.5)
    assert report.roi is not None
    assert report.roi.passed
    assert report.record()["roi"]["share"] == pytest.approx(1)
    assert explanation.record()["roi"] is None
    same = gagrad_runtime.Report(explanation, roi=gagrad_runtime.read_roi(tmp_path / "roi.json"))
    assert same.record()["roi"]["limit"] is None
    with pytest.raises(SettingError, match="no region"):
        gagrad_runtime.Report(explanation, roi_limit=0.5)


def test_a_frame_of_few_bits_is_said(explainer: Explainer) -> None:
    """A 12-bit camera's frame in a 16-bit file, for a bundle of 16 bits, is no silent wrong answer."""
    rng = np.random.default_rng(0)
    full = rng.integers(0, 65536, (48, 64), dtype=np.uint16)
    codes = [{c.code for c in explainer.explain(one, samples=4).cautions} for one in (full // 16, full)]
    assert "few-bits" in codes[0]
    assert "few-bits" not in codes[1]
