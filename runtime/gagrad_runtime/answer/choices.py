"""What can be asked of a model on an image: for the message about a target that it does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.question.target import element_index

if TYPE_CHECKING:
    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.reader import Reader

_LISTED = 10
"""Classes that a message lists."""
_BY_CLASS = ("detection", "segmentation", "anomaly")
"""Tasks whose answers have places: one number names a class there, whatever the axes of the scores."""
_ABOUT_CLASSES = ("target", "against")
"""Parameters that name a class."""


def check_class(
    choice: str, spec: OutputSpec, where: str, *, in_region: bool = False
) -> tuple[int, ...] | None:
    """Return the index of ``choice``, a class's name or number; None where it is left to the reader.

    Raises TargetError where no image can have that target.

    Said before the work and once, where each image would say it again. What depends on the image, such as the
    number of a detection, is left to the reader.
    """
    if spec.task == "sequence" or "," in choice:
        return None
    axes = 1 if in_region or spec.task in _BY_CLASS else len(spec.shape)
    try:
        return element_index(choice, spec, where, axes)
    except TargetError as error:
        if error.choices or len(spec.classes) < 2:
            raise
        more = len(spec.classes) - _LISTED
        hint = f"{more} more: `gagrad-edge inspect` lists all" if more > 0 else error.hint
        raise TargetError(error.what, where=error.where, hint=hint, choices=spec.classes[:_LISTED]) from None


def with_choices(error: TargetError, reader: Reader, outputs: Outputs) -> TargetError:
    """Return ``error`` with the classes that the model is surest of on this image, where it lists nothing."""
    if error.choices or error.where not in _ABOUT_CLASSES or reader.spec.task == "sequence":
        return error  # nobody asks for a text line by a class: its classes are characters
    classes = reader.classes(outputs)
    if len(classes) < 2:
        alone = f"the model has one answer only: leave `{error.where}` out"
        # What a name or a number is leads nowhere here; why there is no difference does.
        hint = alone if error.where == "target" else error.hint or alone
        return TargetError(error.what, where=error.where, hint=hint)
    if reader.spec.task == "regression" and len(reader.spec.shape) > 1:
        return _about_element(error, reader, outputs)
    if reader.spec.task == "regression":
        first = "these are the model's values, the highest on this image first"
    else:
        first = "these are the classes, those first that the model is surest of on this image"
    if len(classes) > _LISTED:
        first = (
            f"these are the {_LISTED} of {len(classes)} classes that the model is surest of on this image; "
            "`gagrad-edge inspect` lists all"
        )
    hint = f"{error.hint}; {first}" if error.hint else first
    return TargetError(error.what, where=error.where, hint=hint, choices=classes[:_LISTED])


def _about_element(error: TargetError, reader: Reader, outputs: Outputs) -> TargetError:
    """Return ``error`` with how one value of several rows is named: a row alone is none."""
    scores = outputs.scores[0]
    highest = np.unravel_index(int(scores.argmax()), scores.shape)
    hint = (
        f"the model gives {'×'.join(map(str, reader.spec.shape))} values: name one by {scores.ndim} numbers "
        f"from 0, such as {','.join(map(str, highest))}, which is the highest on this image"
    )
    return TargetError(error.what, where=error.where, hint=hint)
