"""A detector's layout: where its values hold the boxes and scores of the candidates, and in which form.

The text form, which ``--layout`` takes and the manifest keeps::

    boxes=output0[0:4] cxcywh pixels; scores=output0[5:85] sigmoid; objectness=output0[4]

Parts are separated by semicolons. ``boxes`` and ``scores`` are needed. A value is an output of the model or
any other value in its graph. ``[4:84]`` are the columns that belong to the part, counted from 0 and without
the last, as in Python; ``[4]`` is one column. Without brackets all columns belong to it.

==============  ======================================================================================
``boxes``       ``xyxy`` (left, top, right, bottom), ``yxyx`` (top, left, bottom, right), ``xywh`` (left,
                top, width, height) or ``cxcywh`` (centre, width, height); then ``pixels`` of the model's
                image, ``normalised`` (0..1 of it), or ``cells`` (YOLOX before decoding: offset from the
                grid's cell, logarithm of the size; needs ``strides``)
``scores``      ``sigmoid`` or ``softmax``: what makes probabilities of them, or has made them already
``objectness``  the column that each class's probability is multiplied by
``angle``       the column with the angle of turned boxes in radians; their upright enclosing box is taken
``background``  index of the class that stands for "nothing there"
``strides``     pixels from one cell to the next for each grid, in the candidates' order: ``8,16,32``
``suppressed``  the word alone: each object has one candidate, so that no doubles have to be removed
==============  ======================================================================================

``axis=0`` or ``axis=1`` behind a value says which of its two axes holds the columns, the batch and axes of
extent 1 not counted. Without it, it is the axis by which boxes and scores are of as many candidates; of one
value that holds both, the shorter axis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar, get_args

from gagrad_edge.abi import BOXES, SCORES
from gagrad_edge.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

Form = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
Unit = Literal["pixels", "normalised", "cells"]
Activation = Literal["sigmoid", "softmax"]

_Word = TypeVar("_Word", bound=str)
PARTS = (BOXES, SCORES, "objectness", "angle", "background", "strides", "suppressed")
VALUES = (BOXES, SCORES, "objectness", "angle")
"""The parts that are values of the graph."""
EXAMPLE = "boxes=output0[0:4] cxcywh pixels; scores=output0[4:84] sigmoid"


@dataclass(frozen=True)
class Columns:
    """What a value holds of each candidate."""

    value: str
    """Name of an output or of another value in the graph."""
    first: int
    last: int
    """The first column, and the one behind the last."""
    axis: int
    """Axis of the columns, 0 or 1, in the value's shape without the batch and without axes of extent 1."""
    extent: int
    """Number of columns of the value."""

    @property
    def count(self) -> int:
        """Number of columns that belong to the part."""
        return self.last - self.first

    def words(self) -> str:
        """Return the part's value in the text form."""
        if self.count == self.extent:
            columns = ""
        else:
            columns = f"[{self.first}]" if self.count == 1 else f"[{self.first}:{self.last}]"
        return f"{self.value}{columns} axis={self.axis}"


@dataclass(frozen=True)
class Layout:
    """Where the boxes and scores of a detector's candidates are, and in which form."""

    boxes: Columns
    form: Form
    unit: Unit
    scores: Columns
    activation: Activation
    logits: bool
    """Whether ``scores`` are in front of the activation; else they are probabilities."""
    objectness: Columns | None = None
    angle: Columns | None = None
    """Radians by which each box is turned around its centre."""
    background: int | None = None
    strides: tuple[int, ...] = ()
    suppressed: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The values that the layout reads, each once."""
        parts = (self.boxes, self.scores, self.objectness, self.angle)
        return tuple(dict.fromkeys(part.value for part in parts if part is not None))

    def words(self) -> str:
        """Return the text form, which ``parsed`` reads."""
        parts = [
            f"boxes={self.boxes.words()} {self.form} {self.unit}",
            f"scores={self.scores.words()} {self.activation}",
        ]
        if self.objectness is not None:
            parts.append(f"objectness={self.objectness.words()}")
        if self.angle is not None:
            parts.append(f"angle={self.angle.words()}")
        if self.background is not None:
            parts.append(f"background={self.background}")
        if self.strides:
            parts.append("strides=" + ",".join(map(str, self.strides)))
        return "; ".join([*parts, *(["suppressed"] if self.suppressed else [])])


@dataclass(frozen=True)
class Declared:
    """A value and its words, as they were written."""

    value: str
    first: int | None
    last: int | None
    axis: int | None
    words: tuple[str, ...]


def declared(text: str) -> dict[str, Declared]:
    """Return the parts of a layout's text by name. Raises SettingError with the part that is wrong."""
    found: dict[str, Declared] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, rest = (piece.strip() for piece in part.partition("="))
        if name not in PARTS:
            wrong(part, f"a layout has no part {name!r}", PARTS)
        if name in found:
            wrong(part, f"{name} stands there twice")
        if name == "suppressed":
            if equals:
                wrong(part, "it stands alone, without a value")
            found[name] = Declared("", None, None, None, ())
            continue
        words = rest.split()
        if not words:
            wrong(part, "nothing stands behind the =")
        found[name] = _value(part, words)
    missing = [name for name in (BOXES, SCORES) if name not in found]
    if missing:
        wrong(text, f"the part {missing[0]} is missing")
    return found


def _value(part: str, words: Sequence[str]) -> Declared:
    match = re.fullmatch(r"(?P<value>.+?)(?:\[(?P<first>\d*)(?P<colon>:)?(?P<last>\d*)\])?", words[0])
    assert match is not None  # noqa: S101 - .+? matches any word
    first = int(match["first"]) if match["first"] else None
    last = int(match["last"]) if match["last"] else None
    if match["colon"] is None and first is not None:
        last = first + 1
    if first is not None and last is not None and last <= first:
        wrong(part, f"columns {first}:{last} are none")
    axes = [word for word in words[1:] if word.startswith("axis=")]
    if len(axes) > 1 or any(word not in ("axis=0", "axis=1") for word in axes):
        wrong(part, "the axis is given wrongly", ["axis=0", "axis=1"])
    axis = int(axes[0][-1]) if axes else None
    return Declared(match["value"], first, last, axis, tuple(word for word in words[1:] if word not in axes))


def parsed(
    text: str, shapes: Mapping[str, Sequence[int]], *, values: Mapping[str, NDArray[np.float32]]
) -> Layout:
    """Return the layout that ``text`` declares. Raises SettingError, which names the part that is wrong.

    ``shapes`` are the rows' shapes of the values that it names, without the batch; ``values`` are the values
    ``[F, P, Q]`` on test frames: scores that all lie in 0..1 are probabilities already.
    """
    given = declared(text)
    form = _word(BOXES, given[BOXES], get_args(Form))
    unit = _word(BOXES, given[BOXES], get_args(Unit))
    activation = _word(SCORES, given[SCORES], get_args(Activation))
    for name, choices in ((BOXES, (*get_args(Form), *get_args(Unit))), (SCORES, get_args(Activation))):
        for word in given[name].words:
            if word not in choices:
                wrong(name, f"there is no word {word!r} for it", choices)
    boxes, scores = _agreeing(given[BOXES], given[SCORES], shapes)
    if boxes.count != 4:
        wrong(BOXES, f"a box has 4 columns, and these are {boxes.count} of {boxes.value}")
    objectness, angle = (
        _one_column(name, given, shapes, _candidates(scores, shapes)) for name in ("objectness", "angle")
    )
    if angle is not None and form != "cxcywh":
        wrong("angle", "only boxes of centre and size (cxcywh) are turned")
    strides = _numbers("strides", given.get("strides"))
    if (unit == "cells") != bool(strides):
        wrong("strides", "boxes in cells need the strides of the grids, and other boxes have none")
    background = _numbers("background", given.get("background"))
    if background and (len(background) > 1 or background[0] >= scores.count):
        wrong("background", f"it is the index of one of {scores.count} classes")
    return Layout(
        boxes=boxes,
        form=form,
        unit=unit,
        scores=scores,
        activation=activation,
        logits=_leaves_range(values[scores.value], scores),
        objectness=objectness,
        angle=angle,
        background=background[0] if background else None,
        strides=strides,
        suppressed="suppressed" in given,
    )


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a row's shape without axes of extent 1; of a single column, with one behind the candidates."""
    rest = tuple(extent for extent in shape if extent != 1)
    return (*rest, 1) if len(rest) == 1 else rest


def _leaves_range(values: NDArray[np.float32], columns: Columns) -> bool:
    """Whether the columns hold numbers that are no probabilities."""
    part = values.take(range(columns.first, columns.last), axis=columns.axis + 1)
    return bool(part.min() < -1e-6 or part.max() > 1 + 1e-6)


def _shape(columns: Columns, shapes: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    return squeezed(shapes[columns.value])


def _candidates(columns: Columns, shapes: Mapping[str, Sequence[int]]) -> int:
    return _shape(columns, shapes)[1 - columns.axis]


def _is_likely(columns: Columns, part: Declared, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether the axis is given, or shorter than the other: there are more candidates than columns."""
    return part.axis is not None or columns.extent < _candidates(columns, shapes)


def _agreeing(
    boxes: Declared, scores: Declared, shapes: Mapping[str, Sequence[int]]
) -> tuple[Columns, Columns]:
    """Return where both parts lie, so that they are of as many candidates."""
    fitting = [
        (one, two)
        for one in _columns(BOXES, boxes, shapes)
        for two in _columns(SCORES, scores, shapes)
        if _candidates(one, shapes) == _candidates(two, shapes)
        and (one.count == 4 or boxes.first is not None)
        and (one.value != two.value or (one.axis == two.axis and _is_likely(one, boxes, shapes)))
    ]
    if not fitting:
        for name, part in ((BOXES, boxes), (SCORES, scores)):
            _require_columns(name, part, squeezed(shapes[part.value]))
        seen = ", ".join(f"{part.value} {list(shapes[part.value])}" for part in (boxes, scores))
        wrong("boxes, scores", f"they do not hold 4 and K columns of as many candidates: {seen}")
    if len(fitting) > 1:
        wrong(
            "boxes, scores",
            "their shapes leave open which axis holds the columns: write axis=0 or axis=1 behind the value",
        )
    return fitting[0]


def _columns(
    name: str, part: Declared, shapes: Mapping[str, Sequence[int]], candidates: int | None = None
) -> list[Columns]:
    """Return the columns of a part, for each axis that can hold them."""
    if part.value not in shapes:
        wrong(name, f"the model has no value {part.value!r}", sorted(shapes))
    shape = squeezed(shapes[part.value])
    if len(shape) != 2:
        wrong(name, f"{part.value} is {list(shapes[part.value])}, and not candidates × columns")
    found = []
    for axis in (0, 1) if part.axis is None else (part.axis,):
        first, last = part.first or 0, shape[axis] if part.last is None else part.last
        if last <= shape[axis] and candidates in (None, shape[1 - axis]):
            found.append(Columns(part.value, first, last, axis, shape[axis]))
    if not found:
        wrong(name, f"{part.value} has no such columns: its shape is {list(shapes[part.value])}")
    return found


def _require_columns(name: str, part: Declared, shape: Sequence[int]) -> None:
    """Refuse columns beyond a value's last; its shorter axis holds them where none is given."""
    extent = min(shape) if part.axis is None else shape[part.axis]
    if part.last is not None and part.last > extent:
        wrong(name, f"{part.value} has {extent} columns for each candidate, and {part.last} are asked for")


def _one_column(
    name: str, given: Mapping[str, Declared], shapes: Mapping[str, Sequence[int]], candidates: int
) -> Columns | None:
    """Return the column of a part that is one for each candidate; None where the part is not declared."""
    if name not in given:
        return None
    column = _columns(name, given[name], shapes, candidates)[0]
    if column.count != 1:
        wrong(name, f"it is one column, and these are {column.count}")
    return column


def _word(name: str, part: Declared, choices: tuple[_Word, ...]) -> _Word:
    found = [word for word in part.words if word in choices]
    if len(found) != 1:
        wrong(name, "it needs one of these words", choices)
    return found[0]


def _numbers(name: str, part: Declared | None) -> tuple[int, ...]:
    if part is None:
        return ()
    try:
        return tuple(int(number) for number in part.value.split(","))
    except ValueError:
        wrong(name, f"{part.value!r} is no number, and no numbers with commas")


def wrong(part: str, what: str, choices: Iterable[str] = ()) -> NoReturn:
    """Raise SettingError for a part of a layout."""
    raise SettingError(
        f"{part}: {what}",
        where="layout",
        hint=f"write it like this: `layout={EXAMPLE}`",
        choices=list(choices),
    )
