"""A text reader's output: which axis holds the steps, which characters there are, and which one is the blank.

Readers of text lines (CRNN, SVTR, PP-OCR) give a score for each character at each step along the line,
``[N, T, K]`` or ``[T, N, K]``. What the device gets is ``[N, K, T]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gagrad_edge.errors import ModelError, SettingError
from gagrad_edge.output import SequenceSpec
from gagrad_export.arrange.arranged import Arranged
from gagrad_export.arrange.tracing import Tracing, behind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_export.arrange.arranged import Probe, Wishes

    Array = NDArray[np.float32]

_CHARACTERS = 10
"""Fewest characters of a model that is taken for a text reader without their names."""
_STEPS = 4
"""Fewest steps of such a model."""
_BLANKS = ("", "blank", "<blank>", "[blank]", "<ctc>", "[ctc]", "<pad>", "ε", "_blank_")
"""What a list of characters may call the blank, in small letters."""
_BLANK = "blank"
"""Name of the blank in the manifest."""
_OFTEN = 0.5
"""Share of all steps at which the blank is predicted, for it to be recognised by that."""


class _Steps(NamedTuple):
    """An output that may be a text reader's."""

    name: str
    values: Array
    """[F, T, K] on F frames."""
    time_first: bool
    """Whether the model gives [T, N, K]."""


def find_sequence(probe: Probe, wishes: Wishes) -> Arranged | None:
    """Return the model with its scores as ``[N, K, T]``; None where it does not look like a text reader.

    It does where the characters in its file or ``wishes.classes`` are as many as the last axis, with or
    without a blank, where a softmax runs over a last axis of many, and where the image is a line and its
    steps lie along it. Raises ModelError where the task is
    asked for and no output has steps.
    """
    found = _steps(probe, wishes)
    if found is None:
        return None
    tracing, count = Tracing(probe.model), found.values.shape[2]
    names = characters(probe, wishes)
    fitting = names is not None and count - len(names) in (0, 1, 2)
    activation = tracing.activation(found.name)
    softmax = activation is not None and activation[0] != "Sigmoid" and activation[1] in (-1, 2)
    many = count >= _CHARACTERS and found.values.shape[1] >= _STEPS
    many = many and (softmax or (activation is None and _along_a_line(probe, found)))
    if wishes.task is None and not (fitting if names is not None else many):
        return None
    if names is not None and not fitting:
        raise SettingError(
            f"{len(names)} characters for a model with {count} scores at each step",
            where="classes",
            hint="give one character on each line, in the model's order, with or without the blank",
        )
    blank, why = _blank(found, names, wishes.blank)
    listed = () if names is None else _listed(names, count, blank)
    model, name = behind(
        probe.model, found.name, "Transpose", perm=(1, 2, 0) if found.time_first else (0, 2, 1)
    )
    source = "without names" if names is None else "named by the file" if not wishes.classes else "as named"
    evidence = (
        f"{found.name} has scores of {count} characters ({source}) at {found.values.shape[1]} steps; {why}"
    )
    return Arranged(
        model,
        name,
        shown_name=found.name,
        task="sequence",
        evidence=evidence,
        classes=listed,
        sequence=SequenceSpec(blank=blank),
    )


def characters(probe: Probe, wishes: Wishes) -> tuple[str, ...] | None:
    """Return the characters that the user or the file names, None for none. Raises SettingError."""
    if wishes.classes is not None:
        return _given(wishes.classes)
    text = probe.metadata.get("character")  # PP-OCR's list, without blank and space
    return None if text is None else tuple(text.split("\n")[: len(text.splitlines())])


def _given(classes: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Return the characters of a list or a file: one on each line, or all of them on the only line."""
    if not isinstance(classes, (str, Path)):
        return tuple(str(one) for one in classes)
    try:
        lines = Path(classes).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"the characters cannot be read ({error})",
            where=str(classes),
            hint="give a UTF-8 text file with one character on each line",
        ) from error
    lines = [line.rstrip("\r") for line in lines]
    if lines and not lines[-1]:
        lines.pop()
    return tuple(lines[0]) if len(lines) == 1 else tuple(lines)


def _steps(probe: Probe, wishes: Wishes) -> _Steps | None:
    """Return the output with a score for each character at each step."""
    found = []
    for name, values in probe.whole.items():
        if wishes.output_name not in (None, name) or values.ndim != 4 or values.dtype.kind != "f":
            continue  # [F, ·, ·, K] with the batch of one as one of the two
        if values.shape[1] == 1 and values.shape[2] > 1:
            found.append(_Steps(name, values[:, 0], time_first=False))
        elif values.shape[2] == 1 and values.shape[1] > 1:
            found.append(_Steps(name, values[:, :, 0], time_first=True))
    if len(found) == 1 and (wishes.task is not None or _only(probe) or wishes.output_name is not None):
        return found[0]
    if wishes.task is None or not probe.whole:
        return None
    raise ModelError(
        f"{len(found) or 'no'} output{'s' * (len(found) != 1)} of the model "
        f"{'has' if len(found) == 1 else 'have'} scores of characters [N, steps, characters]",
        where="task",
        hint="choose one with `output_name`",
        choices=[f"{name} {list(values.shape[1:])}" for name, values in probe.whole.items()],
    )


def _along_a_line(probe: Probe, found: _Steps) -> bool:
    """Whether the image is at least twice as wide as high, and each step stands for as many columns."""
    _, height, width = probe.image
    return width >= 2 * height and width % found.values.shape[1] == 0


def _only(probe: Probe) -> bool:
    return len(probe.model.graph.output) == 1


def _blank(found: _Steps, names: Sequence[str] | None, asked: str | int | None) -> tuple[int | None, str]:
    """Return the index of the blank, None for none, and the evidence. Raises SettingError."""
    count = found.values.shape[2]
    ends = {"first": 0, "last": count - 1, "none": None}
    if asked is not None:
        text = str(asked).strip().casefold()
        if text in ends:
            return ends[text], f"the blank is {text}, as asked for"
        if text.isdecimal() and int(text) < count:
            return int(text), f"the blank is {text}, as asked for"
        raise SettingError(
            f"there is no character {asked!r} to be the blank",
            where="blank",
            hint=f"give first, last, none, or a number from 0 to {count - 1}",
        )
    if names is not None and len(names) == count:
        called = [
            index for index, name in enumerate(names) if name.strip().casefold() in _BLANKS and name != " "
        ]
        if len(called) == 1:
            return called[0], f"character {called[0]} is the blank, by its name"
    shares = np.bincount(found.values.argmax(axis=2).ravel(), minlength=count) / found.values[..., 0].size
    likely = {end: float(shares[index]) for end, index in (("first", 0), ("last", count - 1))}
    end = max(likely, key=lambda one: likely[one])
    if names is not None and len(names) == count - 2:
        return 0, "two more than the characters: the blank first and a space last, as PP-OCR has it"
    if likely[end] >= _OFTEN:
        return ends[end], (
            f"the {end} character is the blank, as it is predicted at {likely[end] * 100:.0f} % of the steps"
        )
    if names is not None and len(names) == count - 1:
        why = "the scores do not tell whether the blank is the first or the last of the characters"
        raise SettingError(why, where="blank", hint="give `blank=first` or `blank=last`")
    return None, "no character is a blank, so each step is one (`blank=first` or `blank=last` says otherwise)"


def _listed(names: Sequence[str], count: int, blank: int | None) -> tuple[str, ...]:
    """Return a name for each of ``count`` characters: with the blank, and PP-OCR's space at the end."""
    full = list(names)
    if blank is not None and len(full) < count:
        full.insert(blank, _BLANK)
    if len(full) == count - 1:
        full.append(" ")
    if len(full) != count:
        raise SettingError(
            f"{len(names)} characters for a model with {count} scores at each step, and no blank",
            where="classes",
            hint="give `blank=first` or `blank=last`, or one name for each score",
        )
    if blank is not None:
        full[blank] = _BLANK
    return tuple(full)
