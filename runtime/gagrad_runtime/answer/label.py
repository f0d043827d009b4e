"""The model's answer as a label: what a labelled image is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.checking import NO_LABEL, SEVERAL, answers

if TYPE_CHECKING:
    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.answer.prediction import Prediction


def label_of(said: Prediction, output: OutputSpec) -> str:
    """Return what the model says, in the labels of ``gagrad_edge.checking.answers``.

    The best class; of labels and of detections all that are there, in the classes' order, joined by ``+``; of
    a segmentation the class with the largest area, the background only where there is no other; of an anomaly
    scorer ``OK`` or ``NG``. Raises SettingError for a task whose answers are no labels.
    """
    names = answers(output)
    if output.task == "segmentation":
        background = output.segmentation.background if output.segmentation is not None else None
        if said.areas:
            return said.areas[0][0]
        return NO_LABEL if background is None else names[background]
    if output.task == "anomaly":
        return names[bool(said.ng)]
    if output.task in SEVERAL and len(names) > 2:
        return "+".join(name for name in names if name in said.present) or NO_LABEL
    if len(said.scores) == 1:
        chances = said.scores if said.probabilities is None else said.probabilities
        return names[0] if chances[0] >= 0.5 else names[1]
    return said.target.name
