"""Question: the parameters of a request, checked."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from gagrad_runtime.service.refusals import bad

if TYPE_CHECKING:
    from gagrad_runtime.service.protocol import Parameters

MOST_SAMPLES = 1000
"""Most samples of one request: nobody may keep the others waiting for an hour."""
_LONGEST_MS = 600_000.0
Number = Annotated[int, msgspec.Meta(ge=1)]


class Question(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What is asked of a frame. None leaves it to the bundle and the preset."""

    target: str | Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Class name or number; what the model says by default."""
    against: str | Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The other class of "why this and not that"."""
    box: str | None = None
    """``left,top,right,bottom`` in pixels of the frame: the detection that overlaps it most."""
    detection: Number | None = None
    """Number of a detection, from 1, the surest first."""
    instance: Number | None = None
    """Number of a segmenter's area, from 1, the largest first."""
    character: Number | None = None
    """Number of a text line's character, from 1."""
    samples: Annotated[int, msgspec.Meta(ge=2, le=MOST_SAMPLES)] | None = None
    """Perturbed copies of the image; the most where there is a budget."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    """Seed of the noise; 0 by default."""
    budget_ms: Annotated[float, msgspec.Meta(gt=0, le=_LONGEST_MS)] | None = None
    """Milliseconds from the request's arrival to the answer."""
    preset: str | None = None
    """``operator``, the default, or ``paper``."""

    @property
    def wanted(self) -> dict[str, Any]:
        """The keywords of ``Explainer.explain`` that say what to explain."""
        found = {
            name: getattr(self, name)
            for name in ("target", "against", "detection", "instance", "character")
            if getattr(self, name) is not None
        }
        return found if self.box is None else {**found, "box": _four(self.box)}

    @property
    def settings(self) -> dict[str, Any]:
        """The keywords of ``Explainer.explain`` that say how, but the budget."""
        return {name: getattr(self, name) for name in ("samples", "seed", "preset")}


NAMES = Question.__struct_fields__
"""Names of all parameters."""


def question_of(parameters: Parameters, allowed: tuple[str, ...] = NAMES) -> Question:
    """Return the question in ``parameters``, of which the model takes ``allowed``. Raises RefusedError."""
    for name in parameters:
        if name not in allowed:
            near = difflib.get_close_matches(name[:80], allowed, n=1)
            raise bad(
                "there is no such parameter here",
                name[:80],
                hint=f"did you mean {near[0]}?" if near else None,
                choices=allowed,
            )
    try:
        question = msgspec.convert(parameters, Question)
    except msgspec.ValidationError as error:
        raise bad(str(error), "parameters") from None
    if question.box is not None:
        _four(question.box)
    return question


def _four(text: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise bad(f"{text[:60]!r} is not left,top,right,bottom", "box") from None
    return left, top, right, bottom
