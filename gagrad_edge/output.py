"""What the manifest says of a model's output: its task, its scores, and what each task needs besides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, cast

import msgspec

from gagrad_edge.schema import Positive, Strict

if TYPE_CHECKING:
    from collections.abc import Sequence

Activation = Literal["softmax", "sigmoid", "none"]
Task = Literal[
    "classification", "multilabel", "regression", "detection", "segmentation", "anomaly", "sequence"
]
"""What a model is for: it decides what is listed, explained and drawn."""

_Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_Index = Annotated[int, msgspec.Meta(ge=0)]


class DetectionSpec(Strict, frozen=True):
    """A detector: ``scores [N, K, A]`` of A candidates (anchors, queries), and ``boxes [N, A, 4]`` of them.

    The exporter brings every layout to this one: boxes are (left, top, right, bottom) in pixels of the
    model's image, and the activation makes of each score the probability that is shown.
    """

    layout: str
    """How the model gives its detections, in words, e.g. ``[N, 4 + K, A], centre and size in pixels``."""
    candidates: Positive
    """A."""
    suppressed: bool = False
    """Whether each object has one candidate (DETR, YOLOv10); else doubles are taken out by overlap."""
    background: _Index | None = None
    """Class that stands for "nothing there", and is never listed; null when there is none."""
    threshold: _Share = 0.25
    """Least probability of a detection that is listed."""
    overlap: _Share = 0.45
    """Intersection over union from which the weaker of two detections of one class is a double."""
    most: Positive = 300
    """Most detections that are listed."""


class SegmentationSpec(Strict, frozen=True):
    """A segmenter: ``scores [N, K, h, w]``."""

    background: _Index | None = None
    """Class that stands for "nothing there"; null when each class is something."""


class AnomalySpec(Strict, frozen=True):
    """An anomaly scorer: a score, ``[N, 1]``, or a map of scores, ``[N, 1, h, w]``."""

    threshold: float | None = None
    """Score, as the model gives it, from which a part is NG; of a map, the value from which a place is. Null
    until somebody has set or calibrated it."""
    map_size: tuple[Positive, Positive] | None = None
    """(h, w) of the map that ``predict`` gives beside the score; null where there is none."""
    map_threshold: float | None = None
    """Value of the map from which a place is NG; null until somebody has calibrated it."""
    limits: tuple[float | None, float | None] = (None, None)
    """Least and greatest value that the model itself gives, null for none: what is explained lies in front of
    these limits, as beyond them nothing changes the value."""
    map_limits: tuple[float | None, float | None] = (None, None)
    """The same of the map that ``predict`` gives beside the score."""

    def __post_init__(self) -> None:
        for name in ("threshold", "map_threshold", "limits", "map_limits"):
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                if one is not None and not math.isfinite(one):
                    raise ValueError(f"{name} must be a finite number")


class SequenceSpec(Strict, frozen=True):
    """A reader of text lines: ``scores [N, K, T]`` of K characters at T positions."""

    blank: _Index | None = None
    """CTC's blank, which also parts two equal characters; null when each position is one character."""


_NEEDS: dict[Task, tuple[str, int]] = {"detection": ("detection", 2), "sequence": ("sequence", 2)}
"""Tasks that need their structure, its field, and the number of axes of K…."""


def derived_task(shape: Sequence[int], activation: Activation) -> Task:
    """Return the task of an output that does not name one; ``shape`` is K….

    A map of scores is a segmentation; several probabilities of a sigmoid are labels, those of a softmax
    classes, as is one probability; a plain score is a regression.
    """
    if len(shape) == 3 and activation != "none":
        return "segmentation"
    if activation == "none":
        return "regression"
    return "multilabel" if activation == "sigmoid" and list(shape[:1]) != [1] else "classification"


def _to_derive() -> Task:
    """Return the mark of an output whose task is not written: a bundle from before there were tasks."""
    return cast("Task", "")


class OutputSpec(Strict, frozen=True):
    """The model's output that is explained: ``scores [N, K…]`` before the activation."""

    name: str
    shape: list[Positive]
    """K…: the output's shape without the batch."""
    activation: Activation
    """The function from scores to probabilities; ``none`` for a plain score (regression, anomaly)."""
    classes: list[str]
    """One name for each class along the first axis of ``shape``; empty when the classes have no names."""
    task: Task = msgspec.field(default_factory=_to_derive)
    """What the model is for; where a manifest does not say, ``derived_task`` of shape and activation."""
    unit: str = ""
    """Unit of a regression's values, e.g. ``mm``; empty when it is not known."""
    detection: DetectionSpec | None = None
    """For the task detection only, which needs it."""
    segmentation: SegmentationSpec | None = None
    """For the task segmentation only."""
    anomaly: AnomalySpec | None = None
    """For the task anomaly only."""
    sequence: SequenceSpec | None = None
    """For the task sequence only, which needs it."""

    def __post_init__(self) -> None:
        if not self.task:
            msgspec.structs.force_setattr(self, "task", derived_task(self.shape, self.activation))
        if self.classes and (not self.shape or len(self.classes) != self.shape[0]):
            raise ValueError(f"{len(self.classes)} class names for an output of shape {self.shape}")
        for task in ("detection", "segmentation", "anomaly", "sequence"):
            if getattr(self, task) is not None and self.task != task:
                raise ValueError(f"the field {task} belongs to the task {task}, and the task is {self.task}")
        self._check_needs()

    def _check_needs(self) -> None:
        if self.task in _NEEDS:
            field, axes = _NEEDS[self.task]
            if getattr(self, field) is None:
                raise ValueError(f"the task {self.task} needs the field {field}")
            if len(self.shape) != axes:
                raise ValueError(
                    f"an output of the task {self.task} has {axes} axes, and not shape {self.shape}"
                )
        if self.task == "segmentation" and len(self.shape) != 3:
            raise ValueError(f"an output of the task segmentation has 3 axes, and not shape {self.shape}")
        if self.task == "anomaly" and (self.shape[0] != 1 or len(self.shape) not in (1, 3)):
            raise ValueError(f"an output of the task anomaly is one score or a map, and not {self.shape}")
        if self.detection is not None and self.detection.candidates != self.shape[1]:
            raise ValueError(f"{self.detection.candidates} candidates for an output of shape {self.shape}")
        classes = self.shape[0] if self.shape else 1
        for part in (self.detection, self.segmentation):
            if part is not None and part.background is not None and part.background >= classes:
                raise ValueError(f"background {part.background} is none of {classes} classes")
        if self.sequence is not None and self.sequence.blank is not None and self.sequence.blank >= classes:
            raise ValueError(f"blank {self.sequence.blank} is none of {classes} characters")
