"""An anomaly scorer's reader: a score or a map of scores, and the verdict by a threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_edge.output import AnomalySpec
from gagrad_runtime.answer.areas import CLOSEST, found_region, frame_weights, share_of
from gagrad_runtime.answer.reader import Reader
from gagrad_runtime.question.probability import probabilities
from gagrad_runtime.question.target import Target

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.answer.reader import Wanted
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]

_NAME = "anomaly score"
"""What an anomaly scorer's only score is called where it has no name."""
ABOVE = "above the threshold"
"""Name of the region of a map that reaches its threshold."""


class AnomalyReader(Reader):
    """Reads ``scores [1, 1]`` or a map ``[1, 1, h, w]``: the higher, the less normal, in any unit.

    The values shown are those that the model itself gives: behind its sigmoid, or within its limits.
    """

    def prediction(self, outputs: Outputs, placement: Placement) -> Prediction:
        """Return score and map as the model gives them, the thresholds, and the area that reaches them."""
        spec, shown = self._spec, self._shown(outputs.scores[0])
        seen = super().prediction(outputs, placement)
        own = outputs.anomaly_map
        if shown.ndim == 3:
            places, limit = shown[0], spec.threshold
        else:
            places, limit = None if own is None else own[0], spec.map_threshold
            if places is not None:
                places = _within(places, spec.map_limits)
        areas: tuple[tuple[str, float], ...] = ()
        if places is not None:
            weights = frame_weights(placement, (places.shape[0], places.shape[1]))
            if limit is not None and (share := share_of(places >= limit, weights)) > 0:
                areas = (("", share),)
            score = float(places[weights > 0].max()) if shown.ndim == 3 else float(shown.ravel()[0])
        else:
            score = float(shown.ravel()[0])
        return replace(
            seen,
            target=self._target(outputs.scores[0], placement),
            score=score,
            areas=areas,
            threshold=spec.threshold,
            anomaly_map=places,
            map_threshold=limit,
        )

    def target(self, wanted: Wanted, outputs: Outputs, placement: Placement) -> Target:
        """Return the score, or the map where it reaches its threshold, else where it is highest.

        Raises TargetError.
        """
        self.refuse_others(wanted, "instance")
        if wanted.against is not None:
            raise TargetError(
                "there is one score, and nothing to compare it with", where="against", hint="leave it out"
            )
        scores = outputs.scores[0]
        if wanted.region is not None or wanted.target is not None:
            return super().target(wanted._replace(instance=None), outputs, placement)
        if scores.ndim != 3 and wanted.instance is not None:
            raise TargetError(
                "what is explained is one score of the whole image, which has no areas",
                where="instance",
                hint="leave it out",
            )
        return self._target(scores, placement, wanted.instance)

    def predicted(self, target: Target, outputs: Outputs, placement: Placement) -> Target:
        """Return what is explained by default; in a region of the caller's, the score there."""
        if target.region is not None and not target.region.found:
            return super().predicted(target, outputs, placement)
        return self._target(outputs.scores[0], placement)

    def confidence(self, recovered: Outputs, original: Outputs, target: Target) -> NDArray[np.float64]:
        """Return how near the score comes to its own on the whole image, on each recovered one, 0..1, [P].

        Of a positive score it is its share. Scores may be negative, such as log-likelihoods: what is missing
        is then compared with the score's distance from 0. It is 1 where the score is as high, or higher.
        """
        if self.spec.activation != "none":
            return super().confidence(recovered, original, target)
        values = np.array([target.reading(scores) for scores in recovered.scores], np.float64)
        whole = target.reading(original.scores[0])
        return np.clip(1 - (whole - values) / (abs(whole) or 1), 0, 1)

    def answer_about(self, target: Target, outputs: Outputs, placement: Placement) -> Hashable:
        """Return whether the score reaches its threshold; of an area, whether the area does.

        None without a threshold.
        """
        if self._spec.threshold is None:
            return None
        if target.region is not None and target.region.name != CLOSEST:
            shown = self._shown(outputs.scores[0])[0]
            return bool(shown[target.region.cells > 0].max() >= self._spec.threshold)
        return self.prediction(outputs, placement).ng

    def advice(self) -> str:
        """Return what can be asked in place of what the model does not have: of a map, one of its areas."""
        if len(self.spec.shape) != 3:
            return super().advice()
        return "choose one of the map's areas with `instance`, or leave it out"

    def _target(self, scores: Array, placement: Placement, instance: int | None = None) -> Target:
        name = self.spec.classes[0] if self.spec.classes else _NAME
        if scores.ndim != 3:
            return Target((0,), name)
        shown = self._shown(scores)[0]
        on_frame = frame_weights(placement, (shown.shape[0], shown.shape[1])) > 0
        limit = self._spec.threshold
        mask = on_frame & (shown >= limit) if limit is not None else np.zeros(shown.shape, bool)
        # Not the values shown: within limits many places may be equally high.
        values = np.where(on_frame, scores[0], -np.inf)
        return Target((0,), name, region=found_region(mask, values, ABOVE, instance))

    @property
    def _spec(self) -> AnomalySpec:
        return self.spec.anomaly or AnomalySpec()

    def _shown(self, scores: Array) -> Array:
        """Return ``scores [1, …]`` as the model itself gives them."""
        chances = probabilities(scores[None], self.spec.activation)
        return _within(scores if chances is None else chances[0], self._spec.limits)


def _within(values: Array, limits: tuple[float | None, float | None]) -> Array:
    if limits == (None, None):
        return values
    clipped: Array = np.clip(values, *limits)
    return clipped
