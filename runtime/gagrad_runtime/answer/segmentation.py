"""A segmenter's reader: the area of each class, and the largest one explained where it is predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.answer.areas import found_region, frame_weights, share_of
from gagrad_runtime.answer.prediction import PRESENT
from gagrad_runtime.answer.reader import Reader
from gagrad_runtime.question.output_region import OutputRegion
from gagrad_runtime.question.probability import probabilities
from gagrad_runtime.question.target import Target, element_name, resolve_target

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.answer.reader import Wanted
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Choice

    Array = NDArray[np.float32]
    Masks = NDArray[np.bool_]

HALF = 0.5
"""Share of the explained cells from which they are still said to be of their class."""
_PREDICTED = "where it is predicted"
"""Name of the region of all cells where a class is predicted."""


class SegmentationReader(Reader):
    """Reads ``scores [1, K, h, w]``: which class each cell is, and how much of the frame each class takes."""

    def prediction(self, outputs: Outputs, placement: Placement) -> Prediction:
        """Return the areas, and as the model's answer the class with the largest one."""
        scores = outputs.scores[0]
        weights = frame_weights(placement, (scores.shape[1], scores.shape[2]))
        masks = self._masks(scores, placement)
        shares = {index: share_of(masks[index], weights) for index in self._foreground()}
        order = sorted((i for i, share in shares.items() if share > 0), key=lambda i: -shares[i])
        return replace(
            super().prediction(outputs, placement),
            target=self._answer(scores, placement),
            areas=tuple((element_name((i,), self.spec), shares[i]) for i in order),
        )

    def target(self, wanted: Wanted, outputs: Outputs, placement: Placement) -> Target:
        """Return the class that is asked for, or the largest, where it is predicted. Raises TargetError.

        A region of the caller's stands for these cells, and so does one element of the output.
        """
        self.refuse_others(wanted, "instance")
        scores = outputs.scores[0]
        if wanted.instance is not None and wanted.region is not None:
            raise TargetError(
                "a region and an area are both given", where="instance, region", hint="give one"
            )
        if wanted.region is not None or _is_element(wanted.target):
            return super().target(wanted._replace(instance=None), outputs, placement)
        if wanted.target is None:
            index = self._largest(scores, placement)
        else:
            # The name is looked up before the cells are known, so the region is any.
            anywhere = OutputRegion("", np.ones(scores.shape[1:], np.float32))
            index = resolve_target(wanted.target, None, scores, self.spec, anywhere).index[0]
        region = self._region_of(index, scores, placement, wanted.instance)
        return resolve_target((index,), wanted.against, scores, self.spec, region)

    def predicted(self, target: Target, outputs: Outputs, placement: Placement) -> Target:
        """Return the largest class where it is predicted; in a region of the caller's, the class there."""
        if target.region is not None and not target.region.found:
            return super().predicted(target, outputs, placement)
        if target.region is None:
            return super().predicted(target, outputs, placement)
        return self._answer(outputs.scores[0], placement)

    def answer_about(self, target: Target, outputs: Outputs, placement: Placement) -> Hashable:
        """Return whether half of the cells that are explained are of the target's class.

        In a region of the caller's, the class there.
        """
        if target.region is None or not target.region.found:
            return super().answer_about(target, outputs, placement)
        mask = self._masks(outputs.scores[0], placement)[target.index[0]]
        return target.region.mean(mask.astype(np.float32)) >= HALF

    def advice(self) -> str:
        """Return what can be asked in place of what the model does not have."""
        return "choose a class with `target`, one of its areas with `instance`, or leave it out"

    def _answer(self, scores: Array, placement: Placement) -> Target:
        index = self._largest(scores, placement)
        region = self._region_of(index, scores, placement)
        return Target((index,), element_name((index,), self.spec), region=region)

    def _largest(self, scores: Array, placement: Placement) -> int:
        """Return the class besides the background with the largest area; else the one that comes closest."""
        weights = frame_weights(placement, (scores.shape[1], scores.shape[2]))
        masks, candidates = self._masks(scores, placement), self._foreground()
        shares = [share_of(masks[index], weights) for index in candidates]
        if max(shares) > 0:
            return candidates[int(np.argmax(shares))]
        values = self._values(scores)
        return candidates[int(np.argmax([values[index][weights > 0].max() for index in candidates]))]

    def _region_of(
        self, index: int, scores: Array, placement: Placement, instance: int | None = None
    ) -> OutputRegion:
        weights = frame_weights(placement, (scores.shape[1], scores.shape[2]))
        values = np.where(weights > 0, self._values(scores)[index], -np.inf)
        return found_region(self._masks(scores, placement)[index], values, _PREDICTED, instance)

    def _foreground(self) -> list[int]:
        """Return the classes that stand for something."""
        spec = self.spec.segmentation
        background = None if spec is None else spec.background
        return [index for index in range(self.spec.shape[0]) if index != background]

    def _values(self, scores: Array) -> Array:
        """Return the probabilities, or the scores where there are none."""
        chances = probabilities(scores[None], self.spec.activation)
        return scores if chances is None else chances[0]

    def _masks(self, scores: Array, placement: Placement) -> Masks:
        """Return where each class is predicted, bool [K, h, w], nowhere beside the frame.

        Of a softmax each cell is the class with the highest score. Otherwise, and where there is one class,
        a class is where its probability is above one half.
        """
        on_frame = frame_weights(placement, (scores.shape[1], scores.shape[2])) > 0
        if len(scores) == 1 or self.spec.activation == "sigmoid":
            return (self._values(scores) > PRESENT) & on_frame
        best = scores.argmax(axis=0)
        return np.asarray((best == np.arange(len(scores))[:, None, None]) & on_frame)


def _is_element(choice: Choice | None) -> bool:
    """Whether ``choice`` is one index for each of three axes: one cell of one class."""
    parts = choice.split(",") if isinstance(choice, str) else choice
    if not isinstance(parts, (list, tuple)) or len(parts) != 3:
        return False
    return all(str(part).strip().isdecimal() for part in parts)
