"""Camera or part? What the page answers first, from what the station found.

The rule is short, so that a person can check it. A caution about the frame means the camera. A doubt about
the answer or the map means a person. Else an NG part is NG because of its places, as strongly as the covering
test shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from gagrad_runtime.viewer.pages import words

if TYPE_CHECKING:
    from gagrad_runtime.viewer.pages.case import Case

Look = Literal["part", "camera", "person", "waiting", "nothing"]
"""Where to look: the part; the camera first; a person decides; the explanation is not there; nowhere."""
_WEAKENED = 0.2
"""Share of its confidence that an answer loses with its place covered, from which that counts."""
_MISSING = "covering-finds-nothing"


@dataclass(frozen=True)
class Judgement:
    """What is said of one frame, in the language of the request."""

    look: Look
    headline: str
    """The answer to "camera or part?" in a few words."""
    why: str
    """One sentence: why the verdict is what it is."""
    action: str
    """What to do now."""
    proof: str
    """What the covering test shows, in numbers; empty without one."""
    doubts: tuple[str, ...]
    """The cautions as sentences, the gravest first."""


def judge(case: Case) -> Judgement:
    """Return what to say of ``case``."""
    look = look_at(case)
    return Judgement(
        look,
        _headline(case, look),
        _why(case),
        _action(case, look),
        proof(case),
        tuple(words.caution(code) for code in case.cautions),
    )


def look_at(case: Case) -> Look:
    """Return where to look."""
    about = {words.about(code) for code in case.cautions}
    if case.state == "quarantined" or "camera" in about:
        return "camera"
    if case.state == "failed":
        return "person"
    if case.verdict == "OK":
        return "person" if "answer" in about else "nothing"
    if case.state == "waiting":
        return "waiting"
    if case.state != "explained":
        return "person" if case.verdict == "NG" else "nothing"
    return "person" if about & {"answer", "map"} else "part"


def proof(case: Case) -> str:
    """Return what covering the place that decides does to the answer, and what covering elsewhere does."""
    covering = case.covering
    if covering is None or not covering.places:
        return ""
    number = _cited(case)
    change = {
        "number": number,
        "before": words.percent(covering.before),
        "after": words.percent(covering.places[number - 1]),
    }
    if any(covering.changed):
        shown = words.say("Covering place {number} changes the answer: {before} → {after}.", **change)
    else:
        shown = words.say("Covering place {number} does not change the answer: {before} → {after}.", **change)
    if not covering.controls:
        return shown
    elsewhere = words.percent(median(covering.controls))
    before = words.percent(covering.before)
    return f"{shown} {words.say('As much covered elsewhere: {before} → {after}.', before=before, after=elsewhere)}"


def _cited(case: Case) -> int:
    """Return the number of the place that the sentences are about."""
    covering = case.covering
    if covering is None or not covering.places:
        return 1
    if any(covering.changed):
        return covering.changed.index(True) + 1
    return 1 + covering.places.index(min(covering.places))


def _shown(case: Case) -> Literal["strong", "weak", "none"]:
    """Return how strongly the covering test shows that a place is the reason."""
    covering = case.covering
    if covering is None or not covering.places:
        return "weak"
    if any(covering.changed):
        return "weak" if 2 * sum(covering.controls_changed) >= max(1, len(covering.controls)) else "strong"
    return "weak" if covering.before - min(covering.places) >= _WEAKENED * covering.before else "none"


def _headline(case: Case, look: Look) -> str:
    if look == "camera":
        return words.say("The camera: check it first")
    if look == "waiting":
        return words.say("Wait: the reason is being worked out")
    if look == "nothing":
        return words.say("Nothing to do") if case.verdict == "OK" else words.say("Not looked at")
    if look == "part":
        return words.say("The part") if _shown(case) == "strong" else words.say("Probably the part")
    if _MISSING in case.cautions:
        return words.say("Probably the part: something may be missing")
    return words.say("Not certain: a person decides")


def _why(case: Case) -> str:
    if case.state == "quarantined":
        return words.say("The file from the camera is no picture that can be used.")
    if case.state == "failed":
        return words.say("The station gave no reason: {reason}", reason=case.reason or words.MISSING)
    if case.verdict == "OK":
        return words.say("The model says that the part is good.")
    if case.state == "dropped":
        return words.say("Too many parts waited, so nobody looked at the reason.")
    if case.state != "explained":
        return words.say("The model says {name}.", name=case.answer)
    if not case.places:
        return words.say("The model says {name}, and points at no place.", name=case.answer)
    number = min(_cited(case), len(case.places))
    if case.width and case.height:
        spot = words.where(case.places[number - 1].peak, case.width, case.height)
        return words.say("The model says {name} because of place {number}, {spot}.", name=case.target, number=number, spot=spot)
    return words.say("The model says {name} because of place {number}.", name=case.target, number=number)


def _action(case: Case, look: Look) -> str:
    if look in {"camera", "person"}:
        wanted = {"camera"} if look == "camera" else {"answer", "map"}
        code = next((one for one in case.cautions if words.about(one) in wanted), None)
        if code is not None:
            return words.to_do(code)
        if look == "camera":
            return words.say("Check the camera and its cable.")
        return words.say("Look at the part yourself.")
    if look == "waiting":
        return words.say("The map comes by itself in a moment.")
    if look == "nothing":
        return ""
    return words.say("Look at place {number} on the part. If nothing is wrong there, label it as a false alarm.", number=_cited(case))
