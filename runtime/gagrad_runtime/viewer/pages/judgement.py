"""Camera or part? What the page answers first, from what the station found.

The rule is short, so that a person can check it. A caution about the frame means the camera. A doubt about
the answer or the map means a person. Else an NG part is NG because of its places, as strongly as the covering
test shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from gagrad_runtime.viewer.pages import words

if TYPE_CHECKING:
    from gagrad_runtime.viewer.values import Frame, Row

Look = Literal["part", "camera", "person", "waiting", "nothing"]
"""Where to look: the part; the camera first; a person decides; the explanation is not there; nowhere."""
_MISSING = "covering-finds-nothing"


@dataclass(frozen=True)
class Judgement:
    """What is said of one frame, in the language of the request."""

    look: Look
    headline: str
    """The answer to "camera or part?" in a few words."""
    why: str
    """One sentence: why the answer is that; for the camera what is wrong with the frame."""
    said: str
    """What the model says and where it points, where ``why`` does not say it."""
    action: str
    """What to do now."""
    proof: str
    """What the covering test shows, in numbers; empty without one."""
    doubts: tuple[str, ...]
    """The other cautions as sentences, the gravest first."""


def judge(frame: Frame) -> Judgement:
    """Return what to say of ``frame``."""
    row = frame.row
    look = look_at(row)
    named = _named(row, look)
    model = _model(frame)
    return Judgement(
        look,
        _headline(row, look),
        model if named is None else words.caution(named),
        "" if named is None else model,
        _action(frame, look, named),
        proof(frame),
        tuple(words.caution(code) for code in row.cautions if code != named),
    )


def look_at(row: Row) -> Look:
    """Return where to look."""
    about = {words.about(code) for code in row.cautions}
    if row.state == "quarantined" or "camera" in about:
        return "camera"
    if row.state == "failed" or (row.outcome != "OK" and row.state == "dropped"):
        return "person"
    if row.outcome == "OK":
        return "person" if "answer" in about else "nothing"
    if row.state != "explained":
        return "waiting" if row.state == "waiting" else "person" if row.outcome == "NG" else "nothing"
    return "person" if about & {"answer", "map"} else "part"


def proof(frame: Frame) -> str:
    """Return what covering the place that decides does, and covering elsewhere; of an OK part nothing."""
    covering = frame.covering
    if covering is None or not covering.places or frame.row.outcome == "OK":
        return ""
    number = _cited(frame)
    change = {
        "number": number,
        "before": words.percent(covering.before),
        "after": words.percent(covering.places[number - 1]),
    }
    if covering.decides is not None:
        shown = words.say("Covering place {number} changes the answer: {before} → {after}.", **change)
    else:
        shown = words.say("Covering place {number} does not change the answer: {before} → {after}.", **change)
    if not covering.controls:
        return shown
    after = words.percent(median(covering.controls))
    elsewhere = words.say(
        "As much covered elsewhere: {before} → {after}.", before=change["before"], after=after
    )
    return words.say("{sentence} {next}", sentence=shown, next=elsewhere)


def _cited(frame: Frame) -> int:
    """Return the number of the place that the sentences are about."""
    covering = frame.covering
    if covering is None or not covering.places:
        return 1
    if covering.decides is not None:
        return covering.decides
    return 1 + covering.places.index(min(covering.places)) if frame.row.strength == "weak" else 1


def _headline(row: Row, look: Look) -> str:
    if look == "person" and _MISSING in row.cautions:
        return words.say("Probably the part: something may be missing")
    if look == "nothing":
        return words.say("Nothing to do") if row.outcome == "OK" else words.say("Not looked at")
    if look == "part":
        return words.say("The part") if row.strength == "strong" else words.say("Probably the part")
    if look == "camera":
        return words.say("The camera: check it first")
    if look == "waiting":
        return words.say("Wait: the reason is being worked out")
    return words.say("Not certain: a person decides")


def _named(row: Row, look: Look) -> str | None:
    """Return the code of the caution that decides where to look; None where none does."""
    if look == "camera":
        wanted = {"camera"}
    elif look == "person":
        wanted = {"answer", "map"}
    else:
        return None
    return next((code for code in row.cautions if words.about(code) in wanted), None)


def _model(frame: Frame) -> str:
    """Return what the model says of the part and where it points, as one sentence."""
    row = frame.row
    without = {
        "quarantined": words.say("The file from the camera is no picture that can be used."),
        "failed": words.say("There is no map: {reason}", reason=row.reason or words.MISSING),
    }
    if row.state in without:
        return without[row.state]
    if row.outcome == "OK":
        if row.checked:
            return words.say("The model says that the part is good.")
        return words.say("The model says that the part is good. Its picture was not checked.")
    name = frame.answer or row.verdict
    if row.state == "dropped":
        return words.say("The model says {name}. Too many parts waited to explain this one.", name=name)
    if row.state != "explained":
        return words.say("The model says {name}.", name=name)
    return _pointed(frame)


def _pointed(frame: Frame) -> str:
    name = frame.target or frame.row.verdict
    if not frame.places:
        return words.say("The model says {name}, and points at no place.", name=name)
    number = min(_cited(frame), len(frame.places))
    said: dict[str, Any] = {"name": name, "number": number}
    because = frame.row.strength == "strong"
    if not (frame.width and frame.height):
        if because:
            return words.say("The model says {name} because of place {number}.", **said)
        return words.say("The model says {name} and points at place {number}.", **said)
    spot = words.where(frame.places[number - 1].spot, frame.width, frame.height)
    if because:
        return words.say("The model says {name} because of place {number}, {spot}.", spot=spot, **said)
    return words.say("The model says {name} and points at place {number}, {spot}.", spot=spot, **said)


def _action(frame: Frame, look: Look, named: str | None) -> str:
    if named is not None:
        return words.to_do(named)
    if look == "part":
        return words.say(
            "Look at place {number} on the part. If nothing is wrong there, label it as a false alarm.",
            number=_cited(frame),
        )
    said = {
        "camera": words.say("Check the camera and its cable."),
        "person": words.say("Look at the part yourself."),
        "waiting": words.say("The map comes by itself in a moment."),
    }
    return said.get(look, "")
