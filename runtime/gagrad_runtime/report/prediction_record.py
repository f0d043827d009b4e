"""The JSON of a prediction: what the model says of one frame, as ``predict --json`` prints it.

``docs/prediction.schema.json`` is generated from these structures. Fields that do not belong to the task are
left out. Boxes are in frame pixels; no number is NaN or infinite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gagrad_edge import schema
from gagrad_edge.output import Task  # noqa: TC001 - msgspec resolves the fields' types

if TYPE_CHECKING:
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.question.target import Box


class ClassChance(msgspec.Struct, frozen=True, kw_only=True):
    """One class or label."""

    name: str
    probability: float | None
    """0..1."""


class DetectionRecord(msgspec.Struct, frozen=True, kw_only=True, rename={"name": "class"}):
    """One object that a detector finds."""

    name: str
    score: float | None
    """Probability, 0..1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in frame pixels."""


class AreaRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The area of one class."""

    name: str
    share: float
    """Of the frame, 0..1."""


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says of one frame."""

    schema: Literal[1] = 1
    """Version; a new field does not raise it, a changed or removed one does."""
    file: str
    """The path or name as it was given."""
    height: int
    width: int
    """Of the frame, in pixels."""
    task: Task
    answer: str
    """The answer in a few words, as on the terminal."""
    classes: list[ClassChance] | UnsetType = UNSET
    """All classes or labels, the most probable first: of a classifier and of a model of several labels."""
    labels: list[str] | UnsetType = UNSET
    """Names of the labels that are present."""
    detections: list[DetectionRecord] | UnsetType = UNSET
    """The most probable first."""
    areas: list[AreaRecord] | UnsetType = UNSET
    """Largest first; the background is left out."""
    score: float | UnsetType | None = UNSET
    """Of an anomaly scorer; of a map alone, its highest value."""
    threshold: float | UnsetType | None = UNSET
    """Score from which a part is NG; null when nobody has calibrated it."""
    verdict: Literal["OK", "NG"] | UnsetType | None = UNSET
    """By the threshold; null without one."""
    value: float | UnsetType | None = UNSET
    """Of a regression; the first value where there are several."""
    values: list[float | None] | UnsetType = UNSET
    """All values of a regression that has several."""
    unit: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    """Of a line."""
    characters: list[ClassChance] | UnsetType = UNSET
    """Of a line, from left to right."""


def prediction_record(said: Prediction, frame: Frame) -> PredictionRecord:
    """Return the record of ``said``, which a model says of ``frame``."""
    source = frame.source.encode("utf-8", "replace").decode()
    base = PredictionRecord(
        file=source, height=frame.height, width=frame.width, task=said.task, answer=str(said.answer)
    )
    return msgspec.structs.replace(base, **_of_task(said))


def _of_task(said: Prediction) -> dict[str, Any]:
    if said.task == "detection":
        return {"detections": detection_records(said)}
    if said.task == "segmentation":
        return {"areas": [AreaRecord(name=name, share=share) for name, share in said.areas]}
    if said.task == "anomaly":
        verdict = None if said.ng is None else "NG" if said.ng else "OK"
        return {"score": _number(said.score), "threshold": said.threshold, "verdict": verdict}
    if said.task == "regression":
        values = [_number(value) for value in said.scores.ravel().tolist()]
        more = {"values": values} if said.scores.ndim == 1 and len(values) > 1 else {}
        return {"value": values[0], "unit": said.unit, **more}
    if said.task == "sequence":
        read = [ClassChance(name=name, probability=_number(chance)) for name, chance in said.characters]
        return {"text": said.text or "", "characters": read}
    classes = [ClassChance(name=name, probability=_number(chance)) for name, chance in said.classes]
    return {"classes": classes} | ({"labels": list(said.present)} if said.task == "multilabel" else {})


def detection_records(said: Prediction) -> list[DetectionRecord]:
    """Return the detections of ``said``, the most probable first."""
    return [
        DetectionRecord(
            name=one.name,
            score=_number(round(one.score, 6)),
            box=rounded(one.box),
        )
        for one in said.detections
    ]


def rounded(box: Box) -> Box:
    """Return ``box`` in hundredths of a pixel."""
    left, top, right, bottom = (round(edge, 2) for edge in box)
    return left, top, right, bottom


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a line of ``predict --json``."""
    return schema.json_schema(PredictionRecord)
