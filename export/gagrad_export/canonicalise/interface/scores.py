"""The scores as the graph's output: ``[N, K…]`` with the classes first, whatever the model's output is.

Before: an output ``[N]``, ``[H, W, N]`` or ``[N, H, W, K]``. After: ``[N]`` has a second axis of extent 1,
the batch is the first axis, and the axis of the classes (channels, in a segmentation model) is the second.
``[N, K, 1, 1]`` becomes ``[N, K]``.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export.canonicalise.batch import BATCH, free_batch
from gagrad_export.canonicalise.batch.place import shape_of
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.canonicalise.interface.source import SourceOutput

if TYPE_CHECKING:
    from gagrad_export.canonicalise.batch import Batch
    from gagrad_export.canonicalise.findings import Findings


class LeaveScores(Pass):
    """Frees the batch and makes the output ``[N, K…]``. Raises ModelError where that cannot be done."""

    needs = Known.FIXED

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Record how to read the output of the model as it was given in the findings."""
        graph, findings = model.graph, findings_of(model)
        source = findings.source_input
        assert source is not None  # noqa: S101 - EnterImage set it
        batch = free_batch(graph, source.batch)
        findings.source_output = _leave(batch, findings, channels_last=source.channels_last)
        graph.inputs[0].shape = ir.Shape([BATCH, *source.shape])
        graph.sort()
        return ir.passes.PassResult(model, modified=True)


def _class_axis(findings: Findings, rank: int) -> int | None:
    """Return the axis of the output that holds the classes; None where none is known. Raises SettingError."""
    given, found = findings.request.class_axis, findings.class_axis
    if given is None:
        return found
    if not -rank <= given < rank:
        raise SettingError(
            f"the output has {rank} axes, and `class_axis` is {given}", hint=f"give one from 0 to {rank - 1}"
        )
    if found is not None and found != given % rank:
        raise SettingError(
            f"the softmax of the model runs over axis {found} of its output, and `class_axis` is {given}",
            hint="leave `class_axis` out",
        )
    return given % rank


def _leave(batch: Batch, findings: Findings, *, channels_last: bool) -> SourceOutput:
    """Bring the batch to the front of the output, and the axis of the classes behind it."""
    name = findings.output_name
    output = batch.op.graph.outputs[0]
    place = batch.places.get(output)
    if place is None:
        raise ModelError(
            "the score does not depend on the image, so there is nothing to explain",
            where=f"output {name!r}",
            hint="choose another output with `output_name`",
        )
    shape = shape_of(output)
    row, axis = place.row(shape), _class_axis(findings, len(shape_of(output)))
    if axis is not None and (axis != place.axis or not place.pure):
        class_axis = axis - (1 if place.pure and place.axis < axis else 0)
    else:
        class_axis = len(row) - 1 if channels_last and len(row) == 3 else 0
    scores = output
    if place.axis != 0 or not place.pure:
        scores = batch.front(scores, place)
    if not row:
        scores = batch.reshaped(scores, [-1, 1], [batch.size, 1])
    if class_axis:
        findings.notes.append(
            f"the classes are axis {class_axis} of an output {row}: they come first in the scores"
        )
        order = [class_axis, *(i for i in range(len(row)) if i != class_axis)]
        scores = batch.op.Transpose(scores, perm=[0, *(i + 1 for i in order)])
    classes, places = (row or [1])[class_axis], prod(row)
    if len(row) > 1 and classes == places:
        findings.notes.append(
            f"the output {row} has one value for each class: its axes of extent 1 are left out"
        )
        scores = batch.reshaped(scores, [-1, classes], [batch.size, classes])
    batch.op.graph.outputs[0] = scores
    return SourceOutput(
        name=name,
        activation=findings.activation,
        shape=tuple(shape),
        batch=batch.size,
        place=place,
        class_axis=class_axis,
        behind=findings.behind,
    )
