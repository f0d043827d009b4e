"""A bundle against the torch module that it was made from: autograd where autograd can tell, and answers.

Autograd as it is leaves out what the module detaches or computes under ``no_grad``, so it is then asked to go
through. It cannot tell where the module computes under ``inference_mode``, ends in an activation that the
explanation starts in front of, or where the explained value is not what the module returns. There the change
of the scores along segments is the reference, as it is for a file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from gagrad_edge.errors import VerificationError
from gagrad_export.canonicalise.interface.activation import applied
from gagrad_export.load.autograd import NothingDetachedError
from gagrad_export.verify.detector_reference import class_autograd
from gagrad_export.verify.gradient import GradientErrors, against_autograd, against_segments, model_input
from gagrad_export.verify.source import activated, forward_tolerance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_export.arrange.layout import Layout
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source
    from gagrad_export.load.onnx_file import Autograd
    from gagrad_export.verify.gradient import Point
    from gagrad_export.verify.sessions import Sessions

    Array = NDArray[np.float32]

_SHARPER = 5
"""How many times the tolerance along segments autograd must be off before segments overrule it: a gradient
that is off by less than they can see is not confirmed by them."""

_ANSWER_TOLERANCE = 5e-2
"""Largest difference to the module's answers, relative to their range; more than the rounding of any float32
network, and less than another branch or another constant makes."""


_DETACHED = (
    "the module detaches a part or computes it under no_grad. The explanation goes through this part, and "
    "was checked by autograd that does so, too; by itself it leaves the part out"
)


@dataclass(frozen=True)
class GradientCheck:
    """The errors of the gradient, the reference that they are measured against, and what to say of it."""

    errors: GradientErrors
    reference: Literal["autograd", "finite-differences"]
    notes: tuple[str, ...] = ()


def against_module(
    sessions: Sessions,
    point: Point,
    spec: InputSpec,
    source: Source,
    model: Canonical,
    layout: Layout | None = None,
) -> GradientCheck:
    """Compare ``accumulate`` with autograd through the module, or along segments where it cannot tell.

    ``layout`` says where a detector's module returns the class that is explained. Where the module detaches a
    part, autograd leaves its path out and the bundle's gradient does not: then autograd that goes through the
    part is asked, and segments decide where that cannot tell either.
    """
    found: GradientErrors | None = None
    if layout is None and model.source_output.activation is not None:
        why = f"it ends in {model.source_output.activation}, and the explanation starts in front of that"
    elif _is_random(source, model, point.x):
        why = "the module answers the same image differently each time"
    elif (autograd := _autograd(source, model, layout)) is None:
        why = "the explained value is not one that the module returns"
    else:
        found, why = _asked(sessions, point, autograd)
        if found is not None and found.passed:
            return GradientCheck(found, "autograd")
        whole = _whole(sessions, point, source, model, layout)
        if whole is not None and whole.passed:
            return GradientCheck(whole, "autograd", (f"{_DETACHED}: {why}",))
        found = whole or found
    segments = against_segments(sessions, point, spec, operators=model.operators)
    if found is not None and not found.median > _SHARPER * segments.tolerance:
        return GradientCheck(found, "autograd")
    note = f"the gradient was checked along differences of scores, not by autograd: {why}"
    return GradientCheck(segments, "finite-differences", (note,))


def _autograd(source: Source, model: Canonical, layout: Layout | None) -> Autograd | None:
    """Return autograd of the explained scores; None where the module does not return them."""
    if layout is None:
        return source.gradients.get(model.source_output.name)
    return class_autograd(source, layout)


def _asked(sessions: Sessions, point: Point, autograd: Autograd) -> tuple[GradientErrors | None, str]:
    """Return the errors against ``autograd``, None where it fails, and why it may not be able to tell."""
    try:
        found = against_autograd(sessions, point, autograd)
    except RuntimeError as error:
        return None, (str(error).splitlines() or ["autograd failed"])[0]
    return found, (
        f"autograd through the module differs by {found.median:.1e}, as it does where a part is detached or "
        "computed under no_grad"
    )


def _whole(
    sessions: Sessions, point: Point, source: Source, model: Canonical, layout: Layout | None
) -> GradientErrors | None:
    """Return the errors against autograd through what the module detaches; None where it detaches nothing.

    They are infinite where autograd fails on that way: a module may turn what it detached into numbers.
    """
    autograd = _autograd(replace(source, gradients=source.through), model, layout)
    if autograd is None:
        return None
    try:
        return against_autograd(sessions, point, autograd)
    except NothingDetachedError:
        return None
    except RuntimeError:
        return GradientErrors(float("inf"), float("inf"), 0.0)


def check_answers(
    sessions: Sessions, point: Point, spec: InputSpec, source: Source, model: Canonical
) -> None:
    """Compare ``predict`` with the module itself on images of different content.

    An exporter may have followed one image only, and kept one side of a branch. A module that answers the
    same image differently each time is not compared. Raises VerificationError.
    """
    answer = source.answers.get(model.source_output.name)
    if answer is None or model.straight_through:
        return
    if _is_random(source, model, point.x):
        return
    read = [note for note in source.notes if "content of the image" in note]
    allowed = forward_tolerance(model) if read else _ANSWER_TOLERANCE
    for what, image in _contents(point.image):
        theirs = answer(model_input(image, spec))
        scores = sessions.predict(image)[0].astype(np.float64)
        ours = applied(model.source_output.behind, activated(scores, model.source_output.activation))
        if theirs.size != ours.size or model.source_output.class_axis != 0:
            return  # another layout, or a batch that the module fixes
        expected = theirs.reshape(ours.shape)
        span = max(float(np.ptp(expected)), float(np.abs(expected).max()), 1e-12)
        error = float(np.abs(ours - expected).max()) / span
        if error > allowed:
            raise VerificationError(
                f"on {what} the exported model answers otherwise than the module, by {error:.1e} of the "
                f"scores' range (allowed {allowed:.1e}), so nothing was written",
                where=source.name,
                hint=_mend(read),
            )


def _is_random(source: Source, model: Canonical, x: Array) -> bool:
    """Whether the module answers the same input differently each time."""
    answer = source.answers.get(model.source_output.name)
    return answer is not None and not np.array_equal(answer(x), answer(x), equal_nan=True)


def _mend(read: list[str]) -> str:
    """Return how to mend a difference, with the lines that decide by the image's content."""
    said = "; ".join(note.removeprefix("WARNING: ").partition(", and the bundle")[0] for note in read)
    return (
        (f"{said}. " if said else "")
        + "torch's exporter keeps one side of a branch that depends on the image, and numbers that Python "
        "reads from a tensor: write it with torch.where or torch.cond, or export a module with one side"
    )


def _contents(image: Array) -> Iterator[tuple[str, Array]]:
    """Yield images in 0..1 of different content and brightness, with their names."""
    generator = np.random.Generator(np.random.Philox(7))
    yield "an ordinary image", image
    yield "a dark image", image * np.float32(0.2)
    yield "a bright image", np.float32(0.75) + image * np.float32(0.25)
    yield "a negative", 1 - image
    yield "plain noise", generator.random(image.shape, np.float32)
