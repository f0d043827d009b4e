"""How a model's values can be read as a detector's boxes and scores, each reading with its evidence.

A reading rests on three things that a classifier, a segmenter or a text reader does not have together: four
columns that are boxes in their values, columns of the same candidates that are probabilities or their logits,
and boxes that are not themselves behind the sigmoid of the scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.arrange.box_form import BoxForm, box_forms, grids, spans_image
from gagrad_export.arrange.layout import Columns, Layout
from gagrad_export.arrange.score_form import Hints, ScoreForm, score_forms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_export.arrange.metadata import FileSays
    from gagrad_export.arrange.seen import Seen

    Array = NDArray[np.float32]

_LARGEST_OFFSET, _MOSTLY = 20, 0.99
_HUGGING_FACE = "pred_boxes"
_NAMED = ("box", "loc", "coord")
"""Parts of the names that outputs with boxes have."""


@dataclass(frozen=True)
class Reading:
    """A layout that the values fit, and why."""

    layout: Layout
    evidence: str
    sure: bool = True
    """Whether the scores are known to be behind their activation."""


@dataclass(frozen=True)
class Known:
    """What is known besides the values."""

    size: tuple[int, int]
    """(H, W) of the model's image."""
    says: FileSays
    classes: int | None
    """How many classes have a name, in the file or by the user."""
    asked: bool = False
    """Whether the user says that the model is a detector."""
    parted: frozenset[str] = frozenset()
    """Values that are joined from 4, 1 and K columns: YOLOX's boxes, objectness and classes."""
    chosen: bool = False
    """Whether the network chooses its queries by score."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """The class that a selection leaves out, by the name of the scores."""


def readings(seen: Sequence[Seen], known: Known) -> list[Reading]:
    """Return every way to read the values; none where they are no detector's."""
    joined = [one for value in seen for one in _joined(value, known)]
    apart = [one for boxes in seen for scores in seen for one in _apart(boxes, scores, known)]
    return [*joined, *apart]


def _joined(value: Seen, known: Known) -> Iterator[Reading]:
    """Boxes and scores in one value: YOLO."""
    for axis in (0, 1):
        values, sigmoid = value.columns_last(axis)
        _, candidates, extent = values.shape
        if extent < 5 or candidates < 2 or sigmoid[:4].any():
            continue
        always = bool((values[..., 4] == 1).all())
        first = 5 if always else 4
        run = _run(sigmoid, first)
        if run == 0:
            continue
        grid = grids(candidates, known.size)
        shape = f"{value.name} holds {candidates} candidates × {extent} values"
        behind = f"values {first} to {first + run - 1} are behind a sigmoid"
        rest = extent - first - run
        more = f"; {rest} further values belong to masks, keypoints or an angle" if rest else ""
        boxes, turned = Columns(value.name, 0, 4, axis, extent), known.says.task == "obb" and rest == 1
        for form in _forms(values, axis, grid, known, parted=value.name in known.parted):
            strides = grid[0] if form.unit == "cells" and grid is not None else ()
            for objectness, classes, why in _objectness(value, first, run, axis, grid, known):
                layout = Layout(
                    boxes=boxes,
                    form=form.form,
                    unit=form.unit,
                    scores=replace(boxes, first=classes[0], last=classes[1]),
                    activation="sigmoid",
                    logits=False,
                    objectness=None if objectness is None else replace(boxes, first=4, last=5),
                    angle=replace(boxes, first=extent - 1, last=extent) if turned else None,
                    strides=strides,
                )
                yield Reading(layout, f"{shape}: a box ({form.evidence}), and {behind}{more}; {why}")


def _forms(
    values: Array, axis: int, grid: tuple[tuple[int, ...], int] | None, known: Known, *, parted: bool
) -> list[BoxForm]:
    """Return the forms of the first four columns of a joined value."""
    found = [
        form
        for form in box_forms(values[..., :4], known.size)
        if form.unit == "pixels"
        and (grid is None or spans_image(values[..., :4], form.form, known.size) or known.says.detects)
    ]
    if grid is not None and not found and known.says.detects:
        text = "centre and size in pixels, as ultralytics writes them"
        return [BoxForm("cxcywh", "pixels", text)]
    one_each = grid is not None and grid[1] == 1 and axis == 1
    if grid is not None and one_each and not found and (parted or _are_offsets(values[..., :4])):
        strides = ", ".join(map(str, grid[0]))
        text = f"before decoding: it does not span the image; decoded on grids of strides {strides}"
        return [BoxForm("cxcywh", "cells", text)]
    return found


def _are_offsets(boxes: Array) -> bool:
    """Whether boxes are as small as offsets within a cell and logarithms of sizes in cells."""
    return bool((np.abs(boxes) < _LARGEST_OFFSET).mean() >= _MOSTLY)


def _objectness(
    value: Seen, first: int, run: int, axis: int, grid: tuple[tuple[int, ...], int] | None, known: Known
) -> Iterator[tuple[int | None, tuple[int, int], str]]:
    """Yield the objectness column, the class columns, and why."""
    plain = (None, (first, first + run), f"{run} classes")
    split = (4, (5, 4 + run), f"objectness and {run - 1} classes")
    cells = "" if grid is None else f", {grid[1]} for each cell of strides {', '.join(map(str, grid[0]))}"
    if first == 5:
        yield plain[0], plain[1], f"{run} classes{cells}; the objectness is always 1 and is left out"
    elif known.classes == run:
        yield plain[0], plain[1], f"as many as the {run} class names{cells}"
    elif known.classes == run - 1 and axis == 1:
        yield split[0], split[1], f"an objectness and as many as the {run - 1} class names{cells}"
    elif known.classes is not None:
        return
    elif axis == 0 or run == 1:
        yield plain[0], plain[1], f"{plain[2]}{cells}: the candidates come last, as in YOLOv8 and later"
    elif value.name in known.parted:
        yield split[0], split[1], f"{split[2]}{cells}: the three are joined, as in YOLOX"
    elif grid is not None and grid[1] == 3:
        yield split[0], split[1], f"{split[2]}{cells}, as in YOLOv5 and YOLOv7"
    else:
        yield plain[0], plain[1], f"read as {plain[2]}{cells}"
        yield split[0], split[1], f"read as {split[2]}{cells}"


def _apart(boxes: Seen, scores: Seen, known: Known) -> Iterator[Reading]:
    """Boxes and scores in two values: DETR, SSD, YOLO-NAS."""
    if boxes.name == scores.name:
        return
    for axis in (1, 0):
        values, sigmoid = boxes.columns_last(axis)
        if values.shape[2] != 4 or values.shape[1] < 2:
            continue
        for other in (1, 0):
            columns, behind = scores.columns_last(other)
            if columns.shape[1] != values.shape[1] or (other == 0 and axis == 1 and columns.shape[2] == 4):
                continue
            forms = _pair_forms(boxes, values, sigmoid, known)
            for form in forms:
                hints = Hints(
                    known.classes,
                    known.chosen,
                    last=boxes.name.endswith(_HUGGING_FACE),
                    skipped=known.skipped.get(scores.name),
                )
                for score in score_forms(columns, behind, hints):
                    yield _pair(boxes, axis, form, scores, other, score)


def _pair_forms(boxes: Seen, values: Array, sigmoid: NDArray[np.bool_], known: Known) -> list[BoxForm]:
    named = any(part in boxes.name.lower() for part in _NAMED)
    forms = box_forms(values, known.size)
    if boxes.name.endswith(_HUGGING_FACE):
        text = "centre and size in 0..1 of the image, as Hugging Face's pred_boxes"
        return [BoxForm("cxcywh", "normalised", text)]
    trusted = named or known.asked or known.says.detects
    return [form for form in forms if form.unit == "pixels" or trusted or sigmoid.all()]


def _pair(boxes: Seen, axis: int, form: BoxForm, scores: Seen, other: int, score: ScoreForm) -> Reading:
    extent = scores.values.shape[2 if other == 1 else 1]
    candidates = boxes.values.shape[1 if axis == 1 else 2]
    layout = Layout(
        boxes=Columns(boxes.name, 0, 4, axis, 4),
        form=form.form,
        unit=form.unit,
        scores=Columns(scores.name, 0, extent, other, extent),
        activation=score.activation,
        logits=score.logits,
        background=score.background,
        suppressed=score.logits,
    )
    text = (
        f"{boxes.name} holds a box for each of {candidates} candidates ({form.evidence}), and {scores.name} "
        f"{extent} scores ({score.evidence})"
    )
    return Reading(layout, text, score.sure)


def _run(flags: Iterable[bool] | NDArray[np.bool_], first: int) -> int:
    """Return how many flags from ``first`` on are set."""
    rest = np.asarray(flags)[first:]
    return int(len(rest) if rest.all() else np.argmin(rest))
