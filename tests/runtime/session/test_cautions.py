"""Which cautions an explanation carries, from the frame to the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.session.cautions import cautions
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.query import Asked
from tests.models import SIZE

NOTHING = Covering("surroundings", 0.94, (0.96,), (False,), (0.93, 0.94), (False, False))


class Known:
    """A reference that finds this part unusual."""

    has_image = False

    def __init__(self, *phrases: str) -> None:
        self.phrases = list(phrases)

    def unusual(self, _: Any) -> list[str]:
        """Return the phrases."""
        return self.phrases

    def unusual_answer(self, _: Any) -> list[str]:
        """Return the phrases."""
        return self.phrases


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as opened:
        yield opened


def codes(explainer: Explainer, pixels: Any, reference: Any = None, **changed: Any) -> list[str]:
    """Return the codes for a frame, with fields of the explanation replaced."""
    work = explainer._work
    settings = explainer._settings(samples=4, rcap=False, cover=False)
    scene = work.scene(pixels, Asked(Wanted(), "rgb", settings))
    query = work.query(scene, Wanted())
    estimation = work.estimation(query, work.new_sampler())
    estimation.grow(4)
    result = work.map(query, estimation)
    made: Explanation = work.explanation(query, result)
    sure = np.array([0.02, 0.97, 0.01], np.float32)
    said = replace(
        made.prediction,  # type: ignore[type-var]
        probabilities=sure,
        scores=np.log(sure),
        target=replace(made.target, index=(1,), name="scratch"),
    )
    plain: dict[str, Any] = {
        "prediction": said,
        "target": said.target,  # type: ignore[union-attr]
        "predicted": said.target,  # type: ignore[union-attr]
        "covering": None,
        "places": made.places[:1],
        "place_stability": None,
        "copies_kept": 1.0,
    }
    found = cautions(replace(made, **(plain | changed)), query, result, explainer.manifest, reference)
    return [one.code for one in found]


@pytest.fixture
def sound() -> Any:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_a_sound_explanation_has_none(explainer: Explainer, sound: Any) -> None:
    """A sure answer, an ordinary frame and no evidence against the place: nothing to say."""
    assert codes(explainer, sound) == []
    assert codes(explainer, sound, Known()) == []


def test_what_covering_shows(explainer: Explainer, sound: Any) -> None:
    """A defect that no place decides is said; not of a class that the model does not say by itself."""
    assert codes(explainer, sound, covering=NOTHING) == ["covering-finds-nothing"]


def test_a_good_part_has_no_place_to_doubt(explainer: Explainer, sound: Any) -> None:
    """Of a part that is called good only the missing calibration is said."""
    made = explainer.explain(sound, samples=4)
    assert made.prediction is not None
    good = replace(
        made.prediction,
        target=replace(made.target, index=(0,), name="ok"),
        probabilities=np.array([0.97, 0.02, 0.01], np.float32),
        scores=np.log(np.array([0.97, 0.02, 0.01], np.float32)),
    )
    changed = {"prediction": good, "target": good.target, "predicted": good.target, "covering": NOTHING}
    assert codes(explainer, sound, place_stability=0.1, **changed) == ["uncalibrated"]
    assert codes(explainer, sound, Known(), place_stability=0.1, **changed) == []


def test_the_good_parts_judge_frame_and_answer(explainer: Explainer, sound: Any) -> None:
    """With a reference its words are said, in place of what is guessed without one."""
    assert codes(explainer, sound, Known("brightness 0.03")) == ["frame-unusual", "answer-unusual"]
    dark = (sound * 0.06).astype(np.uint8)
    assert codes(explainer, dark) == ["dark-image"]
    assert codes(explainer, dark, Known()) == []


def test_the_frame_is_judged_with_the_verdict(
    explainer: Explainer, sound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``judge`` says what ``predict`` says, and with good parts what is unusual about the frame."""
    said, found = explainer.judge(sound)
    assert said.verdict == explainer.predict(sound).verdict
    assert found is None
    monkeypatch.setattr(explainer._work, "reference", Known("brightness 0.03"))
    found = explainer.judge(sound)[1]
    assert found is not None
    assert [(one.code, "brightness 0.03" in one.text) for one in found] == [("frame-unusual", True)]
    monkeypatch.setattr(explainer._work, "reference", Known())
    assert explainer.judge(sound)[1] == ()


def test_copies_with_another_answer(
    explainer: Explainer, sound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share of the noisy copies that keep the answer is measured, recorded and said when it is low."""

    def half(target: Any, changed: Any, original: Any, placement: Any) -> Any:
        return np.arange(len(changed)) % 2 == 0

    with monkeypatch.context() as patched:
        patched.setattr(explainer.reader, "keeps", half)
        found = explainer.explain(sound, samples=8, chunk=4)
    assert found.copies_kept == found.record()["copies_kept"] == 0.5
    assert "copies-lose-answer" in {one.code for one in found.cautions}
    assert explainer.explain(sound, samples=8, noise_std=1e-6).copies_kept == 1
    assert explainer.explain(sound, method="gradient").copies_kept is None
    assert codes(explainer, sound, copies_kept=0.5) == ["copies-lose-answer"]
