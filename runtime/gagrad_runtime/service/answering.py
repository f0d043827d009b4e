"""Answering: what each model of a bundle does with a request, in the worker's thread."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gagrad_edge.abi import BOXES, COTANGENT, IMAGE, SALIENCY, SCORES
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.report.prediction_record import prediction_record
from gagrad_runtime.report.record import encode, record_of
from gagrad_runtime.report.report import Report
from gagrad_runtime.sampling.estimation import MIN_SAMPLES
from gagrad_runtime.service.codec import Output
from gagrad_runtime.service.pace import Recent
from gagrad_runtime.service.refusals import bad

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.service.asking import Question
    from gagrad_runtime.service.codec import Tensor
    from gagrad_runtime.service.frames import Frames
    from gagrad_runtime.session.explainer import Explainer

TARGET, RECORD, PICTURE = "target", "record", "picture"
"""Outputs that no graph has: the target's index in the flattened scores, the record as JSON, the picture as
PNG."""
_LEAST = 0.001
"""Budget, seconds, that stands for one that is over: the fewest samples are made."""


@dataclass(frozen=True)
class Call:
    """One frame and what is asked of it."""

    inputs: Mapping[str, Tensor]
    form: str
    """Which of the inputs is the frame."""
    question: Question
    outputs: tuple[str, ...]
    kind: Hashable
    """Calls of one kind take about the same time."""


@dataclass(frozen=True)
class Limits:
    """What one call has to keep."""

    remaining: Callable[[], float | None] = lambda: None
    """Seconds from now to the answer; None without a budget."""
    check: Callable[[int, int], None] = lambda *_: None
    """Called between the chunks of samples; raises when nobody waits any more."""


@dataclass(frozen=True)
class Answered:
    """The outputs of one call."""

    outputs: dict[str, Output]
    least: float
    """Seconds that it would have taken with the fewest samples."""


@dataclass
class Answering:
    """Answers calls to one bundle, in one thread."""

    explainer: Explainer
    frames: Frames
    _after: Recent = field(default_factory=Recent)
    """What follows the explanation: the record, the picture."""

    def predict(self, call: Call, limits: Limits) -> Answered:
        """Return the scores, and what is beside them."""
        began = time.perf_counter()
        images = call.inputs[IMAGE].values if call.form == IMAGE else None
        spec, placement, frame = self.explainer.manifest.input, None, None
        if images is None or RECORD in call.outputs:
            if isinstance(images, np.ndarray) and len(images) != 1:
                raise bad(
                    "there are several images", RECORD, hint="ask for the record of one image a request"
                )
            frame = self.frames.of(call.inputs, call.form, limits.remaining())
            image, placement = prepare(frame, spec)
            images = image if images is None else images
        assert isinstance(images, np.ndarray)  # noqa: S101 - image is FP32
        if not np.isfinite(images).all():
            raise bad("a pixel value is no number", IMAGE)
        found = self.explainer.outputs(images)
        made: dict[str, Output] = {SCORES: Output(SCORES, found.scores)}
        if BOXES in found.beside:
            made[BOXES] = Output(BOXES, found.beside[BOXES])
        if frame is not None and placement is not None and RECORD in call.outputs:
            said = prediction_record(self.explainer.reader.prediction(found, placement), frame)
            made[RECORD] = Output(RECORD, msgspec.json.encode(said), text=True)
        return Answered(made, time.perf_counter() - began)

    def saliency(self, call: Call, limits: Limits) -> Answered:
        """Return the map of a cotangent, or of a target."""
        if COTANGENT not in call.inputs:
            return self.explain(call, limits)
        weights, began = call.inputs[COTANGENT].values, time.perf_counter()
        assert isinstance(weights, np.ndarray)  # noqa: S101 - cotangent is FP32
        frame = self.frames.of(call.inputs, call.form, limits.remaining())
        values = self.explainer.saliency(
            frame, weights[0], progress=limits.check, **self._budget(call, limits), **call.question.settings
        )
        return Answered({SALIENCY: Output(SALIENCY, values)}, time.perf_counter() - began)

    def explain(self, call: Call, limits: Limits) -> Answered:
        """Return the explanation: what of it is wanted."""
        began = time.perf_counter()
        frame = self.frames.of(call.inputs, call.form, limits.remaining())
        # RCAP and the covering test cost predictions, and only these two outputs tell of them.
        told = RECORD in call.outputs or PICTURE in call.outputs
        asked: dict[str, Any] = {
            **({} if told else {"rcap": False, "cover": False}),
            **self._budget(call, limits),
            **call.question.wanted,
            **call.question.settings,
        }
        explanation = self.explainer.explain(frame, progress=limits.check, **asked)
        explained = time.perf_counter()
        made = {name: _MAKERS[name](explanation) for name in call.outputs}
        done = time.perf_counter()
        self._after.add(call.kind, done - explained)
        spared = explanation.seconds.get("explain", 0.0) * (
            1 - MIN_SAMPLES / max(explanation.samples, MIN_SAMPLES)
        )
        return Answered(made, done - began - spared)

    def _budget(self, call: Call, limits: Limits) -> dict[str, Any]:
        remaining = limits.remaining()
        if remaining is None:
            return {}
        return {"budget_ms": 1000 * max(remaining - self._after.slowest(call.kind), _LEAST)}


def _scores(explanation: Explanation) -> Output:
    return Output(SCORES, explanation.scores[None])


def _target(explanation: Explanation) -> Output:
    index, shape = explanation.target.index, explanation.scores.shape
    # Of a region the target is a class, whose number says it.
    flat = int(np.ravel_multi_index(index, shape)) if len(index) == len(shape) else index[0]
    return Output(TARGET, np.array([flat], np.int64))


def _saliency(explanation: Explanation) -> Output:
    return Output(SALIENCY, explanation.saliency)


def _record(explanation: Explanation) -> Output:
    return Output(RECORD, encode(record_of(explanation, scale=explanation.scale), pretty=False), text=True)


def _picture(explanation: Explanation) -> Output:
    return Output(PICTURE, Report(explanation).png())


_MAKERS: dict[str, Callable[[Explanation], Output]] = {
    SCORES: _scores,
    TARGET: _target,
    SALIENCY: _saliency,
    RECORD: _record,
    PICTURE: _picture,
}
"""What makes each output of an explanation."""
