"""The guide: how to read a map, in ten minutes, with six real examples and five questions.

The examples were made by ``examples/guide`` with networks and parts whose truth is known.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response, get

from gagrad_runtime.language import marked
from gagrad_runtime.viewer.pages.judgement import judge
from gagrad_runtime.viewer.pages.rendering import page
from gagrad_runtime.viewer.values import Frame


class Lesson(NamedTuple):
    """What is said of one example; all are messages of the catalogue."""

    name: str
    title: str
    seen: str
    to_do: str


class Question(NamedTuple):
    """One question of the self-check."""

    asked: str
    answers: tuple[str, str, str]
    right: int
    """Place of the right answer, from 0."""
    because: str


LESSONS = (
    Lesson(
        "right",
        marked("Right: the map points at the defect"),
        marked(
            "Place 1 is on the scratch. With place 1 covered the model says something else: it is the reason."
        ),
        marked("Handle the part as NG."),
    ),
    Lesson(
        "elsewhere",
        marked("Wrong place: the reason is at another number"),
        marked("Covering changes nothing here. Place 1 is plain; at place 2 a component is missing."),
        marked("Look at every number before you decide."),
    ),
    Lesson(
        "missing",
        marked("Something is missing"),
        marked(
            "A map can only point at what is there. Here no place decides, because a feature is not there."
        ),
        marked("Hold a good part beside it. Count holes, screws, letters."),
    ),
    Lesson(
        "shortcut",
        marked("Shortcut: the model looks at something else"),
        marked("Place 1 is proven, but it is a sticker and no defect. The model has learned the sticker."),
        marked("Look at the part yourself, and tell the person who keeps the model."),
    ),
    Lesson(
        "good",
        marked("A good part"),
        marked("The map of a good part has a brightest place, too. It is no defect."),
        marked("Nothing. Let the part go on."),
    ),
    Lesson(
        "unsettled",
        marked("Not certain"),
        marked("The model is not sure, and other places change the answer as well."),
        marked("Decide by looking at the part, and label it. The model learns from that."),
    ),
)
QUESTIONS = (
    Question(
        marked("The page says: “The camera: check it first.” What do you do?"),
        (
            marked("I throw the part away."),
            marked("I check light, lens and camera, and have the part looked at again."),
            marked("I let the part go on."),
        ),
        1,
        marked("With a bad picture neither NG nor OK says anything of the part."),
    ),
    Question(
        marked("Covering place 1 changes the answer. What does that tell you?"),
        (
            marked("The model says NG because of place 1."),
            marked("The part is bad for certain."),
            marked("The camera is dirty."),
        ),
        0,
        marked("It tells what the model looked at. Whether that is a defect, you see on the part."),
    ),
    Question(
        marked("The page says: “something may be missing.” Where do you look?"),
        (
            marked("Only at place 1."),
            marked("Nowhere: the map is broken."),
            marked("At everything that a good part has."),
        ),
        2,
        marked("What is not there cannot be bright on the map."),
    ),
    Question(
        marked("The bright place is on a sticker, and there is no defect. What do you do?"),
        (
            marked("I trust the model."),
            marked("I look at the part, and tell the person who keeps the model."),
            marked("I take the sticker off and say nothing."),
        ),
        1,
        marked("The model has learned something wrong. Only the person who keeps it can mend that."),
    ),
    Question(
        marked("A part is OK, and its map has a bright place. What does it mean?"),
        (
            marked("The part is NG after all."),
            marked("The map is broken."),
            marked("Nothing: every map has a brightest place."),
        ),
        2,
        marked("A bright place means something only where the page says why."),
    ),
)


@get("/guide", media_type="text/html", include_in_schema=False)
async def guide(request: Request[Any, Any, Any]) -> Response[str]:
    """Answer with the page."""
    found = examples()
    return page(
        request,
        "guide.html",
        "guide",
        context=lambda: {"lessons": [(one, found[one.name], judge(found[one.name])) for one in LESSONS]},
        questions=QUESTIONS,
    )


@functools.cache
def examples() -> dict[str, Frame]:
    """Return what the program told of each example."""
    data = (resources.files("gagrad_runtime.viewer") / "pages" / "examples.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, Frame])
