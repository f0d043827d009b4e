"""Cautions by their codes: what each is about, what it says at the line, and what a person does then.

Events carry codes. The record has sentences with figures; here they are shorter, and in both languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

About = Literal["camera", "answer", "map", "run"]
"""``camera``: the frame, before any model; ``answer``: what the model says; ``map``: where it points;
``run``: how the explanation was made, which says nothing of the part."""


@dataclass(frozen=True)
class Words:
    """One caution; both texts are messages of the catalogue ``viewer``."""

    about: About
    sentence: str
    action: str


_LOOK = "Look at the part yourself."
_TELL = "Tell the person who keeps the model."

CAUTIONS: dict[str, Words] = {
    "frame-unusual": Words(
        "camera",
        "The frame is unlike those of good parts.",
        "Check light, focus, lens and the position of the part.",
    ),
    "constant-image": Words(
        "camera",
        "There is nothing on the frame: it is the same everywhere.",
        "Check that the camera is open and the light is on.",
    ),
    "few-bits": Words(
        "camera",
        "The frame uses few of its grey values, so the model sees a dark picture.",
        "Check the bit depth of the camera.",
    ),
    "dark-image": Words("camera", "The frame is nearly black.", "Check light and exposure."),
    "upscaled": Words(
        "camera",
        "The frame is much smaller than what the model needs.",
        "Check that the camera sends its full size.",
    ),
    "answer-unusual": Words("answer", "The answer is unlike any that good parts got.", _LOOK),
    "unsure": Words("answer", "The model is not sure of its answer.", _LOOK),
    "not-detected": Words("answer", "The model found nothing that is strong enough to count.", _LOOK),
    "uncalibrated": Words(
        "run",
        "No good parts have been learned yet, so a bright place on a good part means nothing.",
        "Calibrate the station with good parts.",
    ),
    "covering-finds-nothing": Words(
        "map",
        "No single place decides. Something may be missing from the part.",
        "Compare the part with a good one: what should be there?",
    ),
    "covering-anywhere": Words(
        "map", "Covering other places changes the answer, too: the place is not proven.", _LOOK
    ),
    "peaks-disagree": Words("map", "The evidence points at two places.", "Look at all numbered places."),
    "place-unstable": Words("map", "Place 1 may be elsewhere in another run.", _LOOK),
    "copies-lose-answer": Words("map", "A little noise changes the answer.", _LOOK),
    "constant-map": Words("map", "The map is the same everywhere: it shows nothing.", _LOOK),
    "dead-gradient": Words("map", "The answer does not react to any place of the frame.", _TELL),
    "no-evidence": Words("map", "Nothing on the frame speaks for the answer.", _LOOK),
    "saturated-score": Words("map", "The score is at its limit: the map may not show the reason.", _LOOK),
    "unstable": Words("run", "The map has not settled.", _LOOK),
    "not-settled": Words("run", "The map is less settled than was asked for.", _LOOK),
    "late": Words("run", "The explanation took longer than allowed.", _TELL),
}
"""By code, in the order of docs/cautions.md."""
OTHER = Words("answer", "Caution: {code}.", _LOOK)
"""A caution that a newer station says."""
