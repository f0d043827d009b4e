"""Which task a model is for, by its outputs: each finder looks, and one may find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import ModelError
from gagrad_export.arrange.anomaly import find_anomaly
from gagrad_export.arrange.arranged import Arranged
from gagrad_export.arrange.detection import find_detector
from gagrad_export.arrange.segmentation import find_segmentation
from gagrad_export.arrange.sequence import find_sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx

    from gagrad_edge.output import Task
    from gagrad_export.arrange.arranged import Finder, Probe, Wishes

FINDERS: Mapping[Task, Finder] = {
    "detection": find_detector,
    "segmentation": find_segmentation,
    "anomaly": find_anomaly,
    "sequence": find_sequence,
}
"""Finders of the tasks whose outputs need arranging, or carry evidence of their own."""


def arrange(model: onnx.ModelProto, wishes: Wishes, probe: Callable[[], Probe]) -> Arranged:
    """Return ``model`` in the form of its task. Raises ModelError where two tasks fit.

    ``probe`` runs the model, and is called only where a finder has to look.
    """
    finders = {task: finder for task, finder in FINDERS.items() if wishes.task is None or task == wishes.task}
    if not finders:
        return Arranged(model, wishes.output_name, wishes.task)
    seen = probe()
    found = [one for finder in finders.values() if (one := finder(seen, wishes)) is not None]
    if len(found) > 1:
        raise ModelError(
            "the outputs can be read in more than one way: " + "; ".join(one.evidence for one in found),
            hint="say with `task` which it is",
            choices=[str(one.task) for one in found],
        )
    return found[0] if found else Arranged(model, wishes.output_name, wishes.task)
