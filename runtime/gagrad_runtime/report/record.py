"""The JSON record of an explanation: everything about it that is not a picture.

The structures below are the schema; ``docs/record.schema.json`` is generated from them and ``docs/record.md``
tells them in words. Two runs of the same bundle, frame, seed and device give the same record, except for
what is under ``run``. No number is NaN or infinite: JSON has no such values, so they are ``null``.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from gagrad_edge.manifest import Activation, Sha256  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_runtime.question.methods import DEFAULT
from gagrad_runtime.report.record_places import (
    Count,
    PlacementRecord,
    RoiRecord,
    SalientRecord,
    ScaleRecord,
    placement_record,
    roi_record,
    salient_records,
    scale_record,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gagrad_runtime.explanation.explanation import Explanation

_TOP = 5


class _Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable; a reader ignores fields that it does not know, so that fields can be added."""


class FrameRecord(_Struct, frozen=True):
    """The frame as it came."""

    file: str
    """The path as it was given, or ``array``."""
    height: Count
    width: Count
    channels: Literal[1, 3]
    bits: Literal[8, 16]
    """Bits of the pixels' type."""
    notes: list[str]
    """What was done to the stored pixels, e.g. ``EXIF orientation 6 applied``."""
    exif: dict[str, str] = {}
    """What the camera wrote of itself and the exposure, by EXIF name; nothing is done with it."""


class ClassRecord(_Struct, frozen=True):
    """One element of the model's output."""

    index: list[int]
    """Into the scores, without the batch axis."""
    name: str
    score: float | None
    """Before the activation."""
    probability: float | None
    """After it; null for a plain score."""


class ScoresRecord(_Struct, frozen=True):
    """The model's scores for the frame as it is, before the activation."""

    shape: list[int]
    minimum: float | None
    maximum: float | None
    finite: bool
    """Whether every score is a number."""


class RcapRecord(_Struct, frozen=True):
    """ReCover And Predict, 0..1, and the curve behind it; the lists have one element per level."""

    score: float | None
    levels: list[float]
    """From high to low."""
    ratio: list[float | None]
    """Share of the map's mass that is kept."""
    confidence: list[float | None]
    """Probability of the target on the kept pixels alone."""


class MethodRecord(_Struct, frozen=True, kw_only=True):
    """What the map was made with."""

    name: str = DEFAULT
    """The method; ``gagrad-edge explain --help`` lists them."""
    guide: str = "paper"
    """What weighs the gradients of ``guided-absolutegrad``."""
    samples: Count
    """Copies that the map was made from."""
    stopped: Literal["samples", "stable", "budget"] = "samples"
    """Why there are no more: all were made, the map was stable enough, or the time was up."""
    seed: int
    percentile: float
    noise_std: float
    perturbation: str = ""
    """What the copies were changed by beside noise."""
    chunk: Count
    straight_through: Annotated[int, msgspec.Meta(ge=0)]
    """How many quantisers the gradient passes straight through; 0 for a float model."""
    float_twin: float | None = None
    """Rank correlation of the map with that of the model without rounding, measured at export on the bundle's
    frame; null for a float model."""


class BundleRecord(_Struct, frozen=True):
    """The bundle that was used."""

    name: str
    sha256: Sha256


class CautionRecord(_Struct, frozen=True):
    """One thing to know before trusting the map."""

    code: str
    """Stable; made for programs."""
    text: str


class RunRecord(_Struct, frozen=True):
    """What differs from run to run."""

    created: str
    """UTC, ``YYYY-MM-DDTHH:MM:SSZ``."""
    seconds: dict[str, float]
    """Wall time per stage."""


class Record(_Struct, frozen=True, kw_only=True):
    """One explanation: one frame and one target."""

    schema: Literal[1]
    """Version of the record; a new field does not raise it, a changed or removed one does."""
    bundle: BundleRecord
    backend: str
    """Engine, version and device."""
    backend_notes: list[str] = []
    """What it did otherwise than asked: operators left to the CPU, batches of one, another device instead."""
    frame: FrameRecord
    placement: PlacementRecord
    activation: Activation
    """What turns scores into probabilities; ``none`` for a plain score."""
    target: ClassRecord
    """What is explained."""
    region: str | None = None
    """Where a spatial output is explained; its figures are means over the region. Null for one element."""
    against: ClassRecord | None
    """The other class of a difference, "why this and not that"."""
    predicted: ClassRecord
    """What the model says by itself."""
    top: list[ClassRecord]
    """The five classes with the highest scores; empty when the output is no list of classes."""
    scores: ScoresRecord
    rcap: RcapRecord
    stability: float | None = None
    """Expected rank correlation with a map of as many other samples, 0..1; null where there is none."""
    raw: tuple[float | None, float | None] = (0.0, 1.0)
    """What 0 and 1 of the map were before it was scaled, for one sample."""
    method: MethodRecord
    cautions: list[CautionRecord]
    regions: list[SalientRecord] = []
    """The salient places, largest share first, at most ten; empty for a flat map."""
    roi: RoiRecord | None = None
    """Null when no region of interest was given."""
    scale: ScaleRecord | None = None
    """The colour scale fixed by good parts; null when the map scales itself."""
    files: dict[str, str]
    """Names of the files written beside this one, by kind."""
    run: RunRecord


def record(explanation: Explanation, files: Mapping[str, Path] | None = None) -> Record:
    """Return the record of ``explanation``; ``files`` are the written files by kind, kept as names only."""
    made, rcap, scores = explanation.provenance, explanation.rcap, explanation.scores
    finite = scores[np.isfinite(scores)]
    target, against = explanation.target, None
    if target.against_index is not None:
        against = _class(explanation, target.against_index, target.against_name)
    return Record(
        schema=1,
        bundle=BundleRecord(name=_text(made.bundle), sha256=made.bundle_sha256),
        backend=_text(made.backend),
        backend_notes=[_text(note) for note in made.backend_notes],
        frame=_frame(explanation),
        placement=placement_record(explanation),
        activation=explanation.activation,
        target=_class(explanation, target.index, target.name),
        region=None if target.region is None else _text(target.region.name),
        against=against,
        predicted=_class(explanation, explanation.predicted.index, explanation.predicted.name),
        top=_top(explanation),
        scores=ScoresRecord(
            shape=list(scores.shape),
            minimum=_number(finite.min()) if finite.size else None,
            maximum=_number(finite.max()) if finite.size else None,
            finite=finite.size == scores.size,
        ),
        rcap=RcapRecord(
            score=_number(rcap.score),
            levels=list(rcap.levels),
            ratio=[_number(ratio) for ratio in rcap.ratio],
            confidence=[_number(confidence) for confidence in rcap.confidence],
        ),
        stability=None if explanation.stability is None else round(explanation.stability, 6),
        raw=(_number(np.float32(explanation.raw[0])), _number(np.float32(explanation.raw[1]))),
        method=MethodRecord(
            name=made.method,
            guide=made.guide,
            samples=made.samples,
            stopped=made.stopped,
            perturbation=_text(made.perturbation),
            seed=made.seed,
            percentile=made.percentile,
            noise_std=made.noise_std,
            chunk=made.chunk,
            straight_through=made.straight_through,
            float_twin=made.float_twin,
        ),
        cautions=[CautionRecord(code=one.code, text=_text(one.text)) for one in explanation.cautions],
        regions=salient_records(explanation),
        roi=roi_record(explanation),
        scale=scale_record(explanation),
        files={kind: _text(path.name) for kind, path in (files or {}).items()},
        run=RunRecord(
            created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds={stage: round(seconds, 6) for stage, seconds in explanation.seconds.items()},
        ),
    )


def encode(value: Record, *, pretty: bool = True) -> bytes:
    """Return ``value`` as JSON in UTF-8 with a final newline: indented, or on one line."""
    data = msgspec.json.encode(value)
    return (msgspec.json.format(data, indent=2) if pretty else data) + b"\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the record."""
    return msgspec.json.schema(Record)


def _frame(explanation: Explanation) -> FrameRecord:
    frame = explanation.frame
    return FrameRecord(
        file=_text(frame.source),
        height=frame.height,
        width=frame.width,
        channels=1 if frame.mono else 3,
        bits=8 if frame.pixels.dtype == np.uint8 else 16,
        notes=[_text(note) for note in frame.notes],
        exif={name: _text(value) for name, value in frame.exif.items()},
    )


def _top(explanation: Explanation) -> list[ClassRecord]:
    if explanation.scores.ndim != 1:
        return []
    # NaN sorts last; ties go to the lower index, as argmax has it.
    order = np.argsort(-explanation.scores, kind="stable")[:_TOP]
    return [_class(explanation, (int(index),), None) for index in order]


def _class(explanation: Explanation, index: tuple[int, ...], name: str | None) -> ClassRecord:
    if name is None:
        name = explanation.classes[index[0]] if explanation.classes else str(index[0])
    probabilities = explanation.probabilities
    return ClassRecord(
        index=list(index),
        name=_text(name),
        score=_number(np.float32(explanation.target.reading(explanation.scores, index))),
        probability=None
        if probabilities is None
        else _number(np.float32(explanation.target.reading(probabilities, index))),
    )


def _number(value: float | np.floating[Any]) -> float | None:
    """Return ``value`` with no more digits than a float32 has, or None for NaN and infinity."""
    if not math.isfinite(value):
        return None
    return float(str(value)) if isinstance(value, np.float32) else float(value)


def _text(text: str) -> str:
    """Return ``text`` as valid UTF-8: Linux file names may hold any bytes, JSON may not."""
    return text.encode("utf-8", "replace").decode()
