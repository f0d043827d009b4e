"""How the scores leave: ``[N, K…]`` with the classes first, whatever the model's output looks like.

``[N]`` gets an axis, a batch that is not the first axis is brought there, and so is the axis of the
classes behind it (``[N, H, W, K]`` of a segmentation model with its channels last).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_export.canonicalise.batch import Batch, Place


@dataclass(frozen=True)
class SourceOutput:
    """How to read the model as it was given, to compare it with the canonical one."""

    name: str
    activation: str | None
    """Operator of the activation that the canonical form took off: Softmax, LogSoftmax, Sigmoid."""
    shape: tuple[int, ...]
    """For the batch that the model takes at a time."""
    batch: int
    place: Place
    """Where the batch lies in ``shape``."""
    class_axis: int
    """Axis of a row that holds the classes."""

    def row(self, output: NDArray[Any]) -> NDArray[np.float32]:
        """Return one row ``[K…]`` of the model's output."""
        parts = output.reshape(self.place.split(self.shape, self.batch))
        row = parts.take(0, self.place.axis + 1).reshape(self.place.row(self.shape))
        row = np.moveaxis(row, self.class_axis, 0) if row.ndim else row.reshape(1)
        scores: NDArray[np.float32] = row.astype(np.float32)
        return scores


def leave_scores(
    batch: Batch, name: str, activation: str | None, axis: int | None, channels_last: bool, notes: list[str]
) -> SourceOutput:
    """Make the graph's output ``[N, K…]``; ``axis`` is the output's axis of the classes, where known.

    Raises ModelError when it does not depend on the image.
    """
    output = batch.op.graph.outputs[0]
    place = batch.places.get(output)
    if place is None:
        raise ModelError(
            "the score does not depend on the image, so there is nothing to explain",
            where=f"output {name!r}",
            hint="choose another output with `output_name`",
        )
    shape = shape_of(output)
    row = place.row(shape)
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
        notes.append(f"the classes are axis {class_axis} of an output {row}: they come first in the scores")
        order = [class_axis, *(i for i in range(len(row)) if i != class_axis)]
        scores = batch.op.Transpose(scores, perm=[0, *(i + 1 for i in order)])
    batch.op.graph.outputs[0] = scores
    return SourceOutput(
        name=name,
        activation=activation,
        shape=tuple(shape),
        batch=batch.size,
        place=place,
        class_axis=class_axis,
    )
