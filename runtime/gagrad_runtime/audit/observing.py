"""What an audit asks a bundle of one image: the answer, and the explanation where that is not enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gagrad_runtime.answer.good import says_good
from gagrad_runtime.answer.prediction import PRESENT
from gagrad_runtime.explanation.cautions import answer_unusual
from gagrad_runtime.explanation.doubts import unsure
from gagrad_runtime.explanation.input_cautions import (
    DARK,
    SAME,
    constant_image,
    dark_image,
    few_bits,
    frame_unusual,
    upscaled,
)
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.reference.statistics import FrameStatistics
from gagrad_runtime.report.roi import roi_result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.report.roi import Roi
    from gagrad_runtime.session.explainer import Explainer

_OUTLIERS = 0.002
"""Share of an image's values above which they are no outliers: a range leaves out half of it at each end."""
_ROWS = 16
"""One row in so many is looked at first."""


@dataclass(frozen=True)
class Answer:
    """What the model says of an image."""

    verdict: str
    ng: bool | None
    probability: float | None
    margin: float | None
    score: float | None
    cautions: tuple[str, ...]
    """Codes: of the frame, and of the answer."""


class Observer(Protocol):
    """A bundle that is open, as an audit uses it. Tests have another one."""

    sha256: str
    bits: int
    """Bits of a frame of more than eight: its white is the highest of them."""

    def frame(self, source: str | bytes) -> Frame:
        """Return the frame. Raises InputError."""

    def answer(self, frame: Frame) -> Answer:
        """Return what the model says. Raises InputError and ModelError."""

    def explanation(self, frame: Frame) -> Explanation:
        """Return the explanation of the answer. Raises InputError and ModelError."""

    def roi_share(self, explanation: Explanation) -> float | None:
        """Return the share of the map in the region of interest; None without one. Raises RoiError."""


class BundleObserver:
    """A bundle on a device."""

    def __init__(self, explainer: Explainer, roi: Roi | None, settings: dict[str, Any]) -> None:
        self.explainer = explainer
        self.sha256 = explainer.bundle_sha256
        self.bits = explainer.manifest.input.bit_depth
        self._roi = roi
        self._settings = settings

    def frame(self, source: str | bytes) -> Frame:
        """Return the frame. Raises FrameError."""
        return frame_for(self.explainer.manifest.input, source)

    def answer(self, frame: Frame) -> Answer:
        """Return what the model says, as ``predict`` does, with the cautions that need no map."""
        manifest, reader = self.explainer.manifest, self.explainer.reader
        image, placement = prepare(frame, manifest.input)
        said = reader.prediction(self.explainer.outputs(image), placement)
        found = [] if self.explainer.reference is None else self._unlike_good(frame, image, placement, said)
        if self.explainer.reference is None:
            found = _of_input(frame, image[0], placement, manifest.input)
        found += [one.code for one in unsure(said, said.target, manifest.output)]
        good = says_good(said)
        return Answer(
            verdict=said.verdict,
            ng=None if good is None else not good,
            probability=said.probability,
            margin=margin(said, manifest.output),
            score=said.score,
            cautions=tuple(dict.fromkeys(found)),
        )

    def _unlike_good(
        self, frame: Frame, image: NDArray[np.float32], placement: Placement, said: Prediction
    ) -> list[str]:
        reference = self.explainer.reference
        assert reference is not None  # noqa: S101 - asked for only then
        statistics = FrameStatistics.of(frame, image, placement, self.explainer.manifest.input)
        found = [one.code for one in frame_unusual(reference.unusual(statistics))]
        return found + [one.code for one in answer_unusual(reference.unusual_answer(said))]

    def explanation(self, frame: Frame) -> Explanation:
        """Return the explanation of the model's answer."""
        return self.explainer.explain(frame, **self._settings)

    def roi_share(self, explanation: Explanation) -> float | None:
        """Return the share of the map in the region of interest; None without one."""
        return None if self._roi is None else roi_result(explanation, self._roi).share


def _of_input(frame: Frame, image: NDArray[np.float32], placement: Placement, spec: InputSpec) -> list[str]:
    """Return the codes of what is wrong with the frame.

    Whether it is dark or empty is decided by quantiles of the image, which cost more than all the rest. They
    are taken only where some of the rows leave it open: what a quantile leaves out may all lie in these.
    """
    seen = image[:, placement.on_model[0], placement.on_model[1]][:, ::_ROWS]
    few, middle = _ROWS * _OUTLIERS * seen.size, float(seen.mean())
    varied = all(np.count_nonzero(one) > few for one in (seen < middle - SAME / 2, seen > middle + SAME / 2))
    bright = np.count_nonzero(seen > DARK) > few
    found = [] if varied else constant_image(frame, image, placement)
    found += few_bits(frame, spec.bit_depth) or ([] if bright else dark_image(image, placement))
    return [one.code for one in found + upscaled(frame, placement)]


def margin(said: Prediction, spec: OutputSpec) -> float | None:
    """Return how far the answer is from another one, 0 (undecided) to 1; None where nothing tells it.

    Of classes the distance of the first two probabilities; of labels the least distance from present; of
    detections from the threshold; of an anomaly score from its limit, as a share of it.
    """
    if said.task == "anomaly":
        if said.score is None or not said.threshold:
            return None
        return min(abs(said.score - said.threshold) / abs(said.threshold), 1.0)
    if said.task == "detection" and spec.detection is not None and said.probabilities is not None:
        scores = said.chances() or (said.target.probability(said.probabilities),)
        return min(abs(score - spec.detection.threshold) for score in scores)
    if said.task == "sequence":
        return min((2 * chance - 1 for _, chance in said.characters), default=None)
    return _between_classes(said)


def _between_classes(said: Prediction) -> float | None:
    chances = said.probabilities
    if chances is None or chances.ndim != 1:
        return None
    if said.task == "multilabel" or chances.size == 1:
        return float(np.abs(chances - PRESENT).min()) * 2
    second, first = np.partition(chances, -2)[-2:]
    return float(first - second)
