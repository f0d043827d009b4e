"""Reader: reads what a model says, here scores of classes; some tasks have a reader of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.prediction import PRESENT, Prediction
from gagrad_runtime.question.output_region import region_of
from gagrad_runtime.question.probability import probabilities
from gagrad_runtime.question.target import element_name, predicted_target, resolve_target

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.output_region import OutputRegion, RegionChoice
    from gagrad_runtime.question.target import Choice, Target

    Array = NDArray[np.float32]
    Box = tuple[float, float, float, float]


class Wanted(NamedTuple):
    """What the caller wants explained; each field is None where the caller leaves it to the task."""

    target: Choice | None = None
    """Class name or index."""
    against: Choice | None = None
    """The other class of a difference."""
    region: RegionChoice | None = None
    """Where a spatial output is explained."""
    detection: int | None = None
    """Number of a detection, from 1, in the order of the prediction's list."""
    box: Box | None = None
    """Box in frame pixels: the detection that overlaps it most."""
    instance: int | None = None
    """Number of a segmenter's connected area, from 1, the largest first."""
    character: int | None = None
    """Number of a text line's character, from 1."""


class Reader:
    """Reads the outputs of one model: what they say, what can be asked of them, how sure an answer is.

    A task with another way to answer overrides what differs.
    """

    def __init__(self, spec: OutputSpec) -> None:
        self.spec = spec

    def prediction(self, outputs: Outputs, placement: Placement) -> Prediction:  # noqa: ARG002 - boxes
        """Return what the model says of the one image of ``outputs``."""
        scores = outputs.scores[0]
        chances = probabilities(outputs.scores, self.spec.activation)
        return Prediction(
            target=predicted_target(scores, self.spec),
            scores=scores,
            probabilities=None if chances is None else chances[0],
            class_names=tuple(self.spec.classes),
            task=self.spec.task,
            score=float(scores[0]) if self.spec.task == "regression" and scores.shape == (1,) else None,
            unit=self.spec.unit,
        )

    def target(self, wanted: Wanted, outputs: Outputs, placement: Placement) -> Target:
        """Return what ``wanted`` means for the one image of ``outputs``. Raises TargetError."""
        self.refuse_others(wanted)
        return resolve_target(
            wanted.target, wanted.against, outputs.scores[0], self.spec, self._region(wanted, placement)
        )

    def each(self, outputs: Outputs, placement: Placement) -> list[Wanted]:
        """Return a question for each thing that the model says is there, the surest first.

        A label, a class with an area; where there is no such list, or nothing on it, the default question.
        """
        present = self.prediction(outputs, placement).present
        if self.spec.task not in ("multilabel", "segmentation") or not present:
            return [Wanted()]
        return [Wanted(target=name) for name in present]

    def predicted(
        self,
        target: Target,
        outputs: Outputs,
        placement: Placement,  # noqa: ARG002 - as above
    ) -> Target:
        """Return the model's own answer to the question that ``target`` is an answer to.

        It is what would be explained if the caller had chosen no class.
        """
        return predicted_target(outputs.scores[0], self.spec, target.region)

    def confidence(self, recovered: Outputs, original: Outputs, target: Target) -> NDArray[np.float64]:
        """Return the model's confidence in ``target`` on each image of ``recovered``, 0..1, [P].

        A plain score has no probability: its confidence is clip(f(I_r) / f(I), 0, 1), the share of the score
        that recovers.
        """
        known = probabilities(recovered.scores, self.spec.activation)
        answers = recovered.scores if known is None else known
        if known is not None:
            return np.array([target.probability(answer) for answer in answers], np.float64)
        values = np.array([target.reading(answer) for answer in answers], np.float64)
        whole = target.reading(original.scores[0])
        return np.clip(values / whole, 0, 1) if whole else np.zeros(len(values))

    def answer_about(self, target: Target, outputs: Outputs, placement: Placement) -> Hashable:  # noqa: ARG002
        """Return what the model says of ``target`` in the one image of ``outputs``; equal is the same answer.

        Here the predicted class, or whether the one label is there. None where the model gives a value and no
        answer that could be another one.
        """
        if self.spec.task == "regression":
            return None
        scores = outputs.scores[0]
        chances = probabilities(outputs.scores, self.spec.activation)
        if self.spec.task == "multilabel" or scores.size == 1:
            return chances is not None and target.probability(chances[0]) >= PRESENT
        return predicted_target(scores, self.spec, target.region).index

    def keeps(
        self, target: Target, changed: Outputs, original: Outputs, placement: Placement
    ) -> NDArray[np.bool_] | None:
        """Return on which images of ``changed`` the model says the same of ``target``, [N].

        None where the model's task has no answers. Copies that a graph without boxes has run have those of
        ``original``.
        """
        before = self.answer_about(target, original, placement)
        if before is None:
            return None
        beside = {
            name: np.broadcast_to(values, (len(changed), *values.shape[1:]))
            for name, values in original.beside.items()
        }
        rows = Outputs(changed.scores, {**beside, **changed.beside})
        return np.array(
            [self.answer_about(target, rows.row(i), placement) == before for i in range(len(rows))], np.bool_
        )

    def classes(self, outputs: Outputs) -> list[str]:
        """Return the classes of the one image of ``outputs``, those first that the model is surest of.

        They are names, or indices as text where the classes have no names.
        """
        scores = outputs.scores[0]
        order = np.argsort(-scores.reshape(len(scores), -1).max(axis=1), kind="stable")
        return [element_name((int(index),), self.spec) for index in order]

    def refuse_others(self, wanted: Wanted, *allowed: str) -> None:
        """Raise TargetError where a part is asked for that a model of this task does not have."""
        parts = {
            "detection": (wanted.detection, "lists no detections"),
            "box": (wanted.box, "lists no detections"),
            "instance": (wanted.instance, "finds no areas"),
            "character": (wanted.character, "reads no characters"),
        }
        for where, (value, what) in parts.items():
            if value is not None and where not in allowed:
                raise TargetError(
                    f"the model's task is {self.spec.task}, and it {what}",
                    where=where,
                    hint=self.advice(),
                )

    def advice(self) -> str:
        """Return what can be asked of this model in place of what it does not have."""
        if self.spec.shape == [1]:
            return "the model has one answer only: leave it out"
        if self.spec.task == "regression":
            return "choose a value with `target`, or leave it out"
        return "choose a class with `target`, or leave it out"

    def _region(self, wanted: Wanted, placement: Placement) -> OutputRegion | None:
        if wanted.region is None:
            return None
        if len(self.spec.shape) != 3:
            raise TargetError(
                "the model's answer is about the whole image and has no places to choose a region from",
                where="region",
                hint=self.advice(),
            )
        return region_of(wanted.region, placement, self.spec)
