"""Camera or part: the answer that the pages give first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gagrad_runtime.language import speaking
from gagrad_runtime.viewer.pages.caution_words import CAUTIONS
from gagrad_runtime.viewer.pages.guide import LESSONS, QUESTIONS, examples
from gagrad_runtime.viewer.pages.judgement import judge, look_at
from gagrad_runtime.viewer.pages.words import caution, percent, since, to_do
from gagrad_runtime.viewer.values import Frame


def frame(**changed: Any) -> Frame:
    """Return the guide's first example, with a row that is ``changed``."""
    made = examples()["right"]
    return msgspec.structs.replace(made, row=msgspec.structs.replace(made.row, **changed))


@pytest.mark.parametrize(
    ("changed", "look", "headline"),
    [
        ({}, "part", "The part"),
        ({"strength": "weak"}, "part", "Probably the part"),
        ({"cautions": ("frame-unusual",)}, "camera", "The camera: check it first"),
        ({"cautions": ("unsure", "dark-image")}, "camera", "The camera: check it first"),
        ({"cautions": ("place-unstable",)}, "person", "Not certain: a person decides"),
        ({"cautions": ("late",)}, "part", "The part"),
        ({"cautions": ("of-a-newer-station",)}, "person", "Not certain: a person decides"),
        (
            {"cautions": ("covering-finds-nothing",)},
            "person",
            "Probably the part: something may be missing",
        ),
        ({"state": "waiting"}, "waiting", "Wait: the reason is being worked out"),
        ({"state": "dropped"}, "person", "Not certain: a person decides"),
        ({"state": "quarantined", "outcome": None}, "camera", "The camera: check it first"),
        ({"state": "failed", "outcome": None}, "person", "Not certain: a person decides"),
        ({"outcome": "OK"}, "nothing", "Nothing to do"),
        ({"outcome": "OK", "cautions": ("uncalibrated",)}, "nothing", "Nothing to do"),
        ({"outcome": "OK", "cautions": ("unsure",)}, "person", "Not certain: a person decides"),
        ({"outcome": "OK", "cautions": ("dark-image",)}, "camera", "The camera: check it first"),
    ],
)
def test_where_to_look(changed: dict[str, Any], look: str, headline: str) -> None:
    """A doubt about the frame means the camera, one about answer or map a person, else it is the part."""
    found = judge(frame(**changed))
    assert (found.look, found.headline) == (look, headline)
    assert found.why
    assert found.action or look == "nothing"


def test_the_sentence_says_place_and_proof() -> None:
    """Why NG: the class, the number, where it is, and what covering it does; in both languages."""
    found = judge(frame())
    assert found.why == "The model says scratch because of place 1, at the left."
    assert found.proof.startswith("Covering place 1 changes the answer: 94.7 % → ")
    with speaking("ja"):
        assert judge(frame()).why == "箇所1（左側）が根拠で、モデルは「scratch」と判定しました。"


def test_the_camera_is_named_before_the_model() -> None:
    """Where the camera is to be checked, the reason is what is wrong with the frame."""
    found = judge(frame(cautions=("unsure", "dark-image")))
    assert found.why == "The frame is nearly black."
    assert found.action == "Check light and exposure."
    assert found.doubts == ("The model is not sure of its answer.",)


def test_every_caution_of_the_docs_has_words() -> None:
    """Each code that docs/cautions.md lists has a sentence and says what to do; others are named."""
    from pathlib import Path

    text = (Path(__file__).parents[4] / "docs" / "cautions.md").read_text(encoding="utf-8")
    table = text.partition("## How often")[0]
    codes = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert codes == set(CAUTIONS)
    assert caution("brand-new") == "Caution: brand-new."
    assert to_do("brand-new")


def test_the_guide_shows_what_it_says() -> None:
    """The six examples are what their lessons say: proven, elsewhere, missing, shortcut, good, unsure."""
    looks = [look_at(examples()[one.name].row) for one in LESSONS]
    assert looks == ["part", "part", "person", "part", "nothing", "person"]
    assert "covering-finds-nothing" in examples()["missing"].row.cautions
    elsewhere = examples()["elsewhere"]
    assert elsewhere.row.strength == "none"
    assert len(elsewhere.places) > 1
    assert elsewhere.covering is not None
    assert not any(elsewhere.covering.changed)
    assert all(0 <= one.right < len(one.answers) for one in QUESTIONS)
    assert len(LESSONS) == 6
    assert len(QUESTIONS) == 5


def test_numbers_in_words() -> None:
    """No probability is 0 or 100 %, and a time ago is in the largest unit that fits."""
    assert (percent(1.0), percent(0.0), percent(0.5)) == ("over 99.9 %", "under 0.1 %", "50.0 %")
    assert (since(1), since(61), since(7300), since(2 * 86400)) == (
        "1 second ago",
        "1 minute ago",
        "2 hours ago",
        "2 days ago",
    )
    with speaking("ja"):
        assert since(61) == "1分前"
