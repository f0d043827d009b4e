"""The JSON record of an explanation: everything about it that is not a picture.

``record_schema.py`` has the structures, from which ``docs/record.schema.json`` is generated;
``docs/record.md`` describes the fields in words. Two runs of the same bundle, frame, seed and device give
the same record, except for what is under ``run``. No number is NaN or infinite: JSON has no such values, so
they are ``null``.
"""

from __future__ import annotations

import math
from datetime import timezone
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UNSET

from gagrad_runtime.explanation.comparing import raw_map
from gagrad_runtime.report.prediction_record import detection_records, rounded
from gagrad_runtime.report.record_schema import (
    _TOP,
    AreaRecord,
    BundleRecord,
    CautionRecord,
    CharacterRecord,
    ClassRecord,
    CoveringRecord,
    FrameRecord,
    GoodRecord,
    MethodRecord,
    PlacementRecord,
    PlaceRecord,
    RcapRecord,
    Record,
    RoiRecord,
    RunRecord,
    ScaleRecord,
    ScoresRecord,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from msgspec import UnsetType

    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.report.roi import RoiResult


def record_of(
    explanation: Explanation,
    *,
    roi: RoiResult | None = None,
    scale: GoodScale | None = None,
    files: Mapping[str, Path] | None = None,
    part: str | UnsetType | None = UNSET,
) -> Record:
    """Return the record of ``explanation``; ``files`` are the written files by kind, kept as names only.

    ``part`` is the plant's name of the part, as in the record.
    """
    made, rcap, scores = explanation.provenance, explanation.rcap, explanation.scores
    finite = scores[np.isfinite(scores)]
    target, against, said = explanation.target, None, explanation.prediction
    if target.against_index is not None:
        against = _class(explanation, target.against_index, target.against_name)
    return Record(
        schema=1,
        bundle=BundleRecord(name=_text(made.bundle), sha256=made.bundle_sha256),
        backend=_text(made.backend),
        backend_notes=[_text(note) for note in made.backend_notes],
        frame=_frame(explanation),
        placement=_placement(explanation),
        task="classification" if said is None else said.task,
        activation=explanation.activation,
        target=_target(explanation, target),
        region=None if target.region is None else _text(target.region.name),
        against=against,
        predicted=_target(explanation, explanation.predicted),
        top=_top(explanation),
        detections=[] if said is None else detection_records(said),
        **_answer(explanation),
        scores=ScoresRecord(
            shape=list(scores.shape),
            minimum=_number(finite.min()) if finite.size else None,
            maximum=_number(finite.max()) if finite.size else None,
            finite=finite.size == scores.size,
        ),
        rcap=None
        if rcap is None
        else RcapRecord(
            score=_number(rcap.score),
            levels=list(rcap.levels),
            ratio=[_number(ratio) for ratio in rcap.ratio],
            confidence=[_number(confidence) for confidence in rcap.confidence],
        ),
        stability=None if explanation.stability is None else round(explanation.stability, 6),
        covering=None if explanation.covering is None else _covering(explanation.covering),
        place_stability=None
        if explanation.place_stability is None
        else round(explanation.place_stability, 6),
        copies_kept=None if explanation.copies_kept is None else round(explanation.copies_kept, 6),
        raw=(_number(np.float32(explanation.raw[0])), _number(np.float32(explanation.raw[1]))),
        method=MethodRecord(
            preset=made.preset,
            name=made.method,
            guide=made.guide,
            samples=made.samples,
            stopped=made.stopped,
            perturbation=_text(made.perturbation),
            baseline=made.baseline,
            seed=made.seed,
            percentile=made.percentile,
            noise_std=made.noise_std,
            chunk=made.chunk,
            notes=[_text(note) for note in made.notes],
            straight_through=made.straight_through,
            float_twin=made.float_twin,
        ),
        cautions=[CautionRecord(code=one.code, text=_text(one.text)) for one in explanation.cautions],
        places=_places(explanation),
        roi=None if roi is None else _roi(roi),
        scale=None if scale is None else _scale(explanation, scale),
        good=None if made.good_sha256 is None else GoodRecord(sha256=made.good_sha256, image=made.good_image),
        part=_text(part) if isinstance(part, str) else part,
        files={kind: _text(path.name) for kind, path in (files or {}).items()},
        run=RunRecord(
            created=explanation.created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds={stage: round(seconds, 6) for stage, seconds in explanation.seconds.items()},
        ),
    )


def encode(value: Record, *, pretty: bool = True) -> bytes:
    """Return ``value`` as JSON in UTF-8 with a final newline: indented, or on one line."""
    data = msgspec.json.encode(value)
    return (msgspec.json.format(data, indent=2) if pretty else data) + b"\n"


def _frame(explanation: Explanation) -> FrameRecord:
    frame = explanation.frame
    return FrameRecord(
        file=_text(frame.source),
        height=frame.height,
        width=frame.width,
        channels=frame.channels,
        bits=8 if frame.pixels.dtype == np.uint8 else 16,
        notes=[_text(note) for note in frame.notes],
        exif={name: _text(value) for name, value in frame.exif.items()},
        sha256=frame.sha256,
    )


def _top(explanation: Explanation) -> list[ClassRecord]:
    if explanation.scores.ndim != 1:
        return []
    # NaN sorts last; ties go to the lower index, as argmax has it.
    order = np.argsort(-explanation.scores, kind="stable")[:_TOP]
    return [_class(explanation, (int(index),), None) for index in order]


def _target(explanation: Explanation, target: Target) -> ClassRecord:
    found = _class(explanation, target.index, target.name)
    if target.box is None:
        return found
    return msgspec.structs.replace(found, box=rounded(target.box), detection=target.detection)


def _answer(explanation: Explanation) -> dict[str, Any]:
    """Return the fields that say what the model of a task answers."""
    said = explanation.prediction
    if said is None:
        return {}
    return {
        "areas": [AreaRecord(name=_text(name), share=round(share, 6)) for name, share in said.areas],
        "score": None if said.score is None else _number(np.float32(said.score)),
        "unit": _text(said.unit),
        "threshold": said.threshold,
        "verdict": {None: None, True: "NG", False: "OK"}[said.ng],
        "text": None if said.text is None else _text(said.text),
        "characters": [
            CharacterRecord(name=_text(name), probability=round(chance, 6))
            for name, chance in said.characters
        ],
    }


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
        else _number(np.float32(explanation.target.probability(probabilities, index))),
    )


def _number(value: float | np.floating[Any]) -> float | None:
    """Return ``value`` with no more digits than a float32 has, or None for NaN and infinity."""
    if not math.isfinite(value):
        return None
    return float(str(value)) if isinstance(value, np.float32) else float(value)


def _text(text: str) -> str:
    """Return ``text`` as valid UTF-8: Linux file names may hold any bytes, JSON may not."""
    return text.encode("utf-8", "replace").decode()


def _placement(explanation: Explanation) -> PlacementRecord:
    """Return where the frame is in the image, and how much of the map is on it."""
    placement = explanation.placement
    clean = np.nan_to_num(explanation.saliency, nan=0.0, posinf=0.0, neginf=0.0)
    return PlacementRecord(
        rule=placement.rule,
        model_size=placement.model_size,
        window=placement.window,
        resized=placement.resized,
        offset=placement.offset,
        share_on_frame=round(placement.share_on_frame(clean), 6),
    )


def _places(explanation: Explanation) -> list[PlaceRecord]:
    """Return what the record says of the places of ``explanation``."""
    covered = () if explanation.covering is None else explanation.covering.places
    return [
        PlaceRecord(
            box=one.box,
            area=one.area,
            share=round(one.share, 6),
            peak=(round(one.peak[0], 2), round(one.peak[1], 2)),
            middle=(round(one.middle[0], 2), round(one.middle[1], 2)),
            evidence=one.evidence,
            covering=round(covered[number], 6) if number < len(covered) else None,
        )
        for number, one in enumerate(explanation.places)
    ]


def _covering(found: Covering) -> CoveringRecord:
    return CoveringRecord(
        fill=found.fill,
        before=round(found.before, 6),
        places=[round(value, 6) for value in found.places],
        changed=list(found.changed),
        controls=[round(value, 6) for value in found.controls],
        controls_changed=list(found.controls_changed),
        decidable=found.decidable,
    )


def _roi(roi: RoiResult) -> RoiRecord:
    return RoiRecord(
        file=_text(roi.name),
        inside=round(roi.inside, 6),
        ignored=round(roi.ignored, 6),
        elsewhere=round(roi.elsewhere, 6),
        share=round(roi.share, 6),
        limit=roi.limit,
        passed=roi.passed,
    )


def _scale(explanation: Explanation, scale: GoodScale) -> ScaleRecord:
    highest = float(raw_map(explanation)[0].max()) / scale.value
    return ScaleRecord(value=scale.value, images=scale.images, highest=round(highest, 4))
