"""Detectors: which values hold boxes and scores, and the model with both in the form of the ABI.

A layout that the user declares is taken as it is. Otherwise the outputs are read, or, where the model selects
its detections itself, the values in front of that; where two readings fit, the user has to choose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gagrad_edge.abi import BOXES
from gagrad_edge.errors import ModelError, SettingError
from gagrad_edge.output import DetectionSpec
from gagrad_export.arrange.arranged import Arranged
from gagrad_export.arrange.conversion import converted
from gagrad_export.arrange.decoding import PLACES, PROBABILITIES, decoded
from gagrad_export.arrange.detector_readings import Known, Reading, readings
from gagrad_export.arrange.layout import EXAMPLE, VALUES, declared, parsed, wrong
from gagrad_export.arrange.metadata import distinct, file_says
from gagrad_export.arrange.parted import parted
from gagrad_export.arrange.seen import looked_at, with_outputs
from gagrad_export.arrange.selection import chooses_queries, selection_of
from gagrad_export.arrange.unselected import unselected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gagrad_export.arrange.arranged import Probe, Wishes
    from gagrad_export.arrange.layout import Columns, Layout
    from gagrad_export.arrange.metadata import FileSays
    from gagrad_export.arrange.seen import Seen
    from gagrad_export.arrange.selection import Selection

_BESIDE = {
    "segment": "the masks are not explained, only the boxes and classes",
    "pose": "the keypoints are not explained, only the boxes and classes",
    "obb": "the boxes are turned, and each is shown by the upright box that encloses it",
}
"""What an ultralytics model gives besides, and what becomes of it."""

_REGIONS = ("MaxRoiPool", "RoiAlign")
"""Operators of a second stage: Faster R-CNN."""


def find_detector(probe: Probe, wishes: Wishes) -> Arranged | None:
    """Return the model as a detector; None where it does not look like one.

    Raises ModelError where it is one that cannot be read, or can be read in several ways, and SettingError
    for a declared layout that does not fit.
    """
    says = file_says(probe.metadata)
    asked = wishes.task == "detection"
    if wishes.layout is not None:
        return _declared(probe, wishes.layout, says)
    if not asked and (says.detects is False or wishes.output_name is not None):
        return None
    selection = None if wishes.output_name is not None else selection_of(probe)
    if selection is not None and (whole := unselected(probe)) is not None:
        probe = replace(probe, model=whole, outputs={})
        boxes_and_scores = tuple(value.name for value in whole.graph.output)
        selection = replace(selection, values=boxes_and_scores, decodes=True)
    if selection is not None:
        names = selection.values
    else:
        names = tuple(probe.outputs) if wishes.output_name is None else (wishes.output_name,)
    seen = looked_at(probe, names)
    known = Known(
        size=probe.image[1:],
        says=says,
        classes=wishes.class_count or len(says.names) or None,
        asked=asked,
        parted=parted(probe.model, seen.values()),
        chosen=bool(seen) and chooses_queries(probe),
        skipped={} if selection is None else selection.skipped,
    )
    read = readings if selection is None or selection.decodes else _nearest
    found = read(list(seen.values()), known)
    if not found and wishes.class_count is not None:
        _require_names(read(list(seen.values()), replace(known, classes=None)), wishes.class_count)
    if not found:
        if asked or says.detects or (selection is not None and not selection.suppressed):
            raise _unread(probe, says, selection)
        return None
    if len(found) > 1:
        raise ModelError(
            "the detector's outputs can be read in more than one way: "
            + "; ".join(f"({index}) {one.evidence}" for index, one in enumerate(found, 1)),
            hint="give the class names with `classes`, or choose one of these with `layout`",
            choices=[f'"{one.layout.words()}"' for one in found],
        )
    return _arranged(probe, found[0], seen, says, selection)


def _require_names(found: Sequence[Reading], names: int) -> None:
    """Refuse class names whose number is all that keeps the values from being read."""
    counts = sorted({one.layout.scores.count - (one.layout.background is not None) for one in found})
    if counts:
        raise SettingError(
            f"{names} class names for a detector with {' or '.join(map(str, counts))} classes",
            where="classes",
            hint="give one name for each class, in the model's order, one on a line; or leave `classes` out",
        )


def _nearest(seen: Sequence[Seen], known: Known) -> list[Reading]:
    """Return the readings of the values that lie nearest to the selection.

    The best class and its score are computed there as well, so scores behind an activation go first.
    """
    for sure in (True, False):
        for count in range(1, len(seen) + 1):
            found = [one for one in readings(seen[:count], known) if one.sure or not sure]
            if found:
                return [one for one in found if one.layout.values == found[0].layout.values]
    return []


def _declared(probe: Probe, text: str, says: FileSays) -> Arranged:
    """Return the model with the layout that the user declares. Raises SettingError."""
    parts = {name: part for name, part in declared(text).items() if name in VALUES}
    inner = {name for node in probe.model.graph.node for name in node.output}
    for name, part in parts.items():
        if part.value not in inner:
            outputs = [value.name for value in probe.model.graph.output]
            wrong(name, f"the model has no value {part.value!r}; its outputs are the choices", outputs)
    names = list(dict.fromkeys(part.value for part in parts.values()))
    seen = looked_at(probe, names)
    for name, part in parts.items():
        if part.value not in seen:
            shape = probe.outputs[part.value].shape[1:] if part.value in probe.outputs else None
            size = "of another shape on each frame" if shape is None else f"{list(shape)}"
            wrong(name, f"{part.value} is {size}, and not candidates × columns with a batch in front")
    layout = parsed(text, {name: one.shape for name, one in seen.items()}, values=_numbers(seen))
    return _arranged(probe, Reading(layout, "the layout is as declared"), seen, says, None)


def _numbers(seen: Mapping[str, Seen]) -> dict[str, Any]:
    return {name: one.values for name, one in seen.items()}


def _arranged(
    probe: Probe, reading: Reading, seen: Mapping[str, Seen], says: FileSays, selection: Selection | None
) -> Arranged:
    layout, notes = reading.layout, []
    if selection is not None:
        layout = replace(layout, suppressed=selection.suppressed)
        notes.append(selection.note(layout.values))
    made = decoded(
        converted(with_outputs(probe.model, layout.values), probe),
        layout,
        {name: seen[name].shape for name in layout.values},
        probe.image,
        [columns for columns in (layout.scores, layout.objectness) if columns and _is_clear(columns, seen)],
        alone=selection is not None,
    )
    notes += made.notes
    if says.task in _BESIDE:
        notes.append(_BESIDE[says.task])
    names = distinct(says.names)
    spec = DetectionSpec(
        layout=layout.words(),
        candidates=_candidates(layout, seen),
        suppressed=layout.suppressed,
        background=layout.background,
        threshold=_first(None if selection is None else selection.threshold, says.threshold, 0.25),
        overlap=_first(None if selection is None else selection.overlap, says.overlap, 0.45),
    )
    return Arranged(
        made.model,
        PROBABILITIES,
        "detection",
        evidence=reading.evidence,
        beside={BOXES: PLACES},
        classes=with_background(names, layout.scores.count, layout.background),
        detection=spec,
        layout=layout,
        shown_name=layout.scores.value,
        notes=tuple(notes),
    )


def with_background(names: Sequence[str], classes: int, background: int | None) -> tuple[str, ...]:
    """Return one name for each of ``classes``: ``background`` is added where the names leave it out."""
    if background is None or len(names) != classes - 1:
        return tuple(names)
    return (*names[:background], "background", *names[background:])


def _is_clear(columns: Columns, seen: Mapping[str, Seen]) -> bool:
    """Whether all of the columns are behind sigmoids."""
    _, sigmoid = seen[columns.value].columns_last(columns.axis)
    return bool(sigmoid[columns.first : columns.last].all())


def _candidates(layout: Layout, seen: Mapping[str, Seen]) -> int:
    return int(seen[layout.scores.value].columns_last(layout.scores.axis)[0].shape[1])


def _first(*thresholds: float | None) -> float:
    """Return the first threshold that is known: of the model's own selection, its file, or the usual one."""
    return next(value for value in thresholds if value is not None)


def _unread(probe: Probe, says: FileSays, selection: Selection | None) -> ModelError:
    """Return the error for a detector that cannot be read."""
    outputs = ", ".join(f"{name} {list(values.shape[1:])}" for name, values in probe.outputs.items())
    why = "the file says that it is one" if says.detects else "that is the task that was asked for"
    if selection is not None:
        why = f"it selects detections itself ({', '.join(selection.operators)})"
    mend = "export the model without its own selection (NMS)"
    if any(node.op_type in _REGIONS for node in probe.model.graph.node):
        why += (
            "; it looks again at regions that it proposes itself, of which each image may have another number"
        )
        mend = "let the model propose a fixed number of regions (no NMS among them), and " + mend
    return ModelError(
        f"no boxes and scores of a detector were found, though {why}"
        + (f"; its outputs are {outputs}, without the batch" if outputs else ""),
        hint=f"{mend}, or say where boxes and scores are: `layout={EXAMPLE}`",
    )
