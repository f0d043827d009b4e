"""Cautions by their codes: what each is about, what it says at the line, and what a person does then.

Events carry codes. The record has sentences with figures; here they are shorter, and in both languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gagrad_runtime.language import marked

About = Literal["camera", "answer", "map", "run"]
"""``camera``: the frame, before any model; ``answer``: what the model says; ``map``: where it points;
``run``: how the explanation was made, which says nothing of the part."""


@dataclass(frozen=True)
class Words:
    """One caution; both texts are messages of the catalogue ``viewer``."""

    about: About
    sentence: str
    action: str


_LOOK = marked("Look at the part yourself.")
_TELL = marked("Tell the person who keeps the model.")

CAUTIONS: dict[str, Words] = {
    "frame-unusual": Words(
        "camera",
        marked("The frame is unlike those of good parts."),
        marked("Check light, focus, lens and the position of the part."),
    ),
    "constant-image": Words(
        "camera",
        marked("There is nothing on the frame: it is the same everywhere."),
        marked("Check that the camera is open and the light is on."),
    ),
    "few-bits": Words(
        "camera",
        marked("The frame uses few of its grey values, so the model sees a dark picture."),
        marked("Check the bit depth of the camera."),
    ),
    "dark-image": Words("camera", marked("The frame is nearly black."), marked("Check light and exposure.")),
    "upscaled": Words(
        "camera",
        marked("The frame is much smaller than what the model needs."),
        marked("Check that the camera sends its full size."),
    ),
    "answer-unusual": Words("answer", marked("The answer is unlike any that good parts got."), _LOOK),
    "unsure": Words("answer", marked("The model is not sure of its answer."), _LOOK),
    "not-detected": Words("answer", marked("The model found nothing that is strong enough to count."), _LOOK),
    "uncalibrated": Words(
        "run",
        marked("No good parts have been learned yet, so a bright place on a good part means nothing."),
        marked("Calibrate the station with good parts."),
    ),
    "covering-finds-nothing": Words(
        "map",
        marked("No single place decides. Something may be missing from the part."),
        marked("Compare the part with a good one: what should be there?"),
    ),
    "peaks-disagree": Words(
        "map", marked("The evidence points at two places."), marked("Look at all numbered places.")
    ),
    "place-unstable": Words("map", marked("Place 1 may be elsewhere in another run."), _LOOK),
    "copies-lose-answer": Words("map", marked("A little noise changes the answer."), _LOOK),
    "constant-map": Words("map", marked("The map is the same everywhere: it shows nothing."), _LOOK),
    "dead-gradient": Words("map", marked("The answer does not react to any place of the frame."), _TELL),
    "no-evidence": Words("map", marked("Nothing on the frame speaks for the answer."), _LOOK),
    "saturated-score": Words(
        "map", marked("The score is at its limit: the map may not show the reason."), _LOOK
    ),
    "unstable": Words("run", marked("The map has not settled."), _LOOK),
    "not-settled": Words("run", marked("The map is less settled than was asked for."), _LOOK),
    "late": Words("run", marked("The explanation took longer than allowed."), _TELL),
}
"""By code, in the order of docs/cautions.md."""
OTHER = Words("answer", marked("Caution: {code}."), _LOOK)
"""A caution that a newer station says."""
