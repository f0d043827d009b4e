"""Reader of detectors: the list of detections, and which of them is explained."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.answer.candidates import area, best_classes, detected, overlaps
from gagrad_runtime.answer.prediction import Detection, Prediction
from gagrad_runtime.answer.reader import Reader, Wanted
from gagrad_runtime.question.probability import probabilities
from gagrad_runtime.question.target import Target, element_index, element_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import DetectionSpec, OutputSpec
    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Choice

    Array = NDArray[np.float32]
    Index = tuple[int, int]

SAME = 0.5
"""Intersection over union from which a candidate of another image stands for the same object."""
_CHOICES = 10
"""Detections that an error lists."""


@dataclass(frozen=True, eq=False)
class _Found:
    """What a detector says of one image."""

    scores: Array
    """[K, A]"""
    chances: Array
    """[K, A], 0..1."""
    model_boxes: Array
    """[A, 4] in pixels of the model's image."""
    boxes: NDArray[np.float64]
    """[A, 4] in frame pixels, cut at the frame's edges."""
    on_frame: NDArray[np.intp]
    """Candidates whose box has an area on the frame; all of them where none has."""
    detections: tuple[Detection, ...]


class DetectionReader(Reader):
    """Reads a detector's ``scores [N, K, A]`` and ``boxes [N, A, 4]``.

    A target is one class at one candidate: its score is what is explained.
    """

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        if spec.detection is None:  # the manifest's own check says so before
            raise ValueError("a detector needs its DetectionSpec")
        self.detector: DetectionSpec = spec.detection

    def prediction(self, outputs: Outputs, placement: Placement) -> Prediction:
        """Return what the model says of the one image of ``outputs``, with the list of detections."""
        found = self._read(outputs, placement)
        return Prediction(
            target=self._target(self._best(found), found),
            scores=found.scores,
            probabilities=found.chances,
            class_names=tuple(self.spec.classes),
            task=self.spec.task,
            detections=found.detections,
        )

    def each(self, outputs: Outputs, placement: Placement) -> list[Wanted]:
        """Return a question for each detection of the one image of ``outputs``, the best first."""
        found = self.prediction(outputs, placement).detections
        return [Wanted(detection=number) for number in range(1, len(found) + 1)]

    def target(self, wanted: Wanted, outputs: Outputs, placement: Placement) -> Target:
        """Return what ``wanted`` means for the one image of ``outputs``. Raises TargetError.

        By default the best detection; where there is none, the strongest candidate. A class is its best
        detection, else its strongest candidate.
        """
        self.refuse_others(wanted, "detection", "box")
        if wanted.region is not None:
            raise TargetError(
                "a detector's scores belong to boxes, and not to places of the image",
                where="region",
                hint="choose the detection that overlaps a box with `box`",
            )
        found = self._read(outputs, placement)
        if wanted.detection is not None:
            index = self._numbered(wanted, found)
        elif wanted.box is not None:
            index = self._overlapping(wanted, found)
        elif wanted.target is not None:
            index = self._of_class(wanted.target, found)
        else:
            index = self._best(found)
        return self._target(index, found, wanted.against)

    def predicted(
        self,
        target: Target,  # noqa: ARG002 - whatever is asked, the model's answer is its best detection
        outputs: Outputs,
        placement: Placement,
    ) -> Target:
        """Return the model's best detection; where it finds nothing, its strongest candidate."""
        found = self._read(outputs, placement)
        return self._target(self._best(found), found)

    def confidence(self, recovered: Outputs, original: Outputs, target: Target) -> NDArray[np.float64]:
        """Return the probability of the target's class where the target was, for each of ``recovered``, [P].

        It is that of the best candidate whose box overlaps the target's by ``SAME`` or more, whichever
        candidate that is; 0 where none does.
        """
        box = original.boxes[0, target.index[1]] if target.model_box is None else target.model_box
        found = []
        for scores, boxes in zip(recovered.scores, recovered.boxes, strict=True):
            chances = self._chances(scores)[target.index[0]]
            found.append(chances[overlaps(box, boxes) >= SAME].max(initial=0))
        return np.array(found, np.float64)

    def answer_about(self, target: Target, outputs: Outputs, placement: Placement) -> bool:
        """Return whether a detection of the target's class is listed where the target is."""
        box = outputs.boxes[0, target.index[1]] if target.model_box is None else target.model_box
        listed = [
            one.index[1]
            for one in self._read(outputs, placement).detections
            if one.index[0] == target.index[0]
        ]
        return bool((overlaps(box, outputs.boxes[0][listed]) >= SAME).any())

    def classes(self, outputs: Outputs) -> list[str]:
        """Return the classes besides the background, those first that the model is surest of."""
        chances = self._chances(outputs.scores[0]).max(axis=1)
        order = np.argsort(-chances, kind="stable")
        return [element_name((int(k),), self.spec) for k in order if k != self.detector.background]

    def advice(self) -> str:
        """Return what can be asked in place of what the model does not have."""
        return "choose a detection with `detection`, `box` or `target`, or leave it out"

    def _chances(self, scores: Array) -> Array:
        """Return ``scores [K, A]`` as probabilities; scores without an activation are such themselves."""
        chances = probabilities(scores[None], self.spec.activation, np.float32)
        return np.clip(scores, 0, 1) if chances is None else chances[0]

    def _read(self, outputs: Outputs, placement: Placement) -> _Found:
        scores, model_boxes = outputs.scores[0], outputs.boxes[0]
        chances = self._chances(scores)
        boxes = placement.boxes_to_frame(model_boxes)
        seen = area(boxes) > 0
        on_frame = np.flatnonzero(seen) if seen.any() else np.arange(len(seen))
        listed = detected(scores, chances, model_boxes, on_frame, self.detector)
        return _Found(
            scores, chances, model_boxes, boxes, on_frame,
            tuple(
                Detection(
                    name=element_name(index[:1], self.spec),
                    score=float(chances[index]),
                    box=_box(boxes[index[1]]),
                    index=index,
                )
                for index in listed
            ),
        )  # fmt: skip

    def _target(self, index: Index, found: _Found, against: Choice | None = None) -> Target:
        kind, candidate = index
        numbers = [n for n, one in enumerate(found.detections, start=1) if one.index == index]
        other = None if against is None else self._other(against, index)
        return Target(
            index=index,
            name=element_name((kind,), self.spec),
            against_index=other,
            against_name=None if other is None else element_name(other[:1], self.spec),
            box=_box(found.boxes[candidate]),
            model_box=_box(found.model_boxes[candidate]),
            detection=numbers[0] if numbers else None,
        )

    def _other(self, against: Choice, index: Index) -> Index:
        """Return the element of another class at the same candidate."""
        (kind,) = element_index(against, self.spec, "against", axes=1)
        if kind == index[0]:
            raise TargetError(
                f"{element_name((kind,), self.spec)} cannot be explained against itself",
                where="against",
                hint="choose another class",
            )
        return kind, index[1]

    def _best(self, found: _Found) -> Index:
        """Return the best detection, or the strongest candidate of any class besides the background."""
        if found.detections:
            return found.detections[0].index
        kinds = best_classes(found.scores, self.detector.background)[found.on_frame]
        return _strongest(kinds, found.on_frame, found)

    def _of_class(self, choice: Choice, found: _Found) -> Index:
        """Return the best detection of a class, else its strongest candidate; or a given element."""
        if _axes(choice) == 2:
            kind, candidate = element_index(choice, self.spec, "target", axes=2)
            return kind, candidate
        (kind,) = element_index(choice, self.spec, "target", axes=1)
        if kind == self.detector.background:
            raise TargetError(
                f"{element_name((kind,), self.spec)} is the background, which is never detected",
                where="target",
                hint="choose another class",
            )
        for one in found.detections:
            if one.index[0] == kind:
                return one.index
        return _strongest(np.full(len(found.on_frame), kind), found.on_frame, found)

    def _numbered(self, wanted: Wanted, found: _Found) -> Index:
        for where, value in (("target", wanted.target), ("box", wanted.box)):
            if value is not None:
                raise TargetError(
                    f"a detection is chosen by its number or with `{where}`, not with both",
                    where="detection",
                    hint="leave one of the two out; `against` compares with another class",
                )
        self._require_any(found, "detection")
        try:
            number = operator.index(wanted.detection)  # type: ignore[arg-type]
        except TypeError:
            number = 0
        if not 1 <= number <= len(found.detections):
            raise TargetError(
                f"there is no detection {wanted.detection!r}: the model finds {len(found.detections)} here",
                where="detection",
                hint="give the number of one of these",
                choices=self._listed(found.detections),
            )
        return found.detections[number - 1].index

    def _overlapping(self, wanted: Wanted, found: _Found) -> Index:
        """Return the detection, of the wanted class if there is one, that overlaps the wanted box most."""
        box = _checked_box(wanted.box)
        self._require_any(found, "box")
        able, of_class = list(found.detections), ""
        if wanted.target is not None:
            (kind,) = element_index(wanted.target, self.spec, "target", axes=1)
            able = [one for one in able if one.index[0] == kind]
            of_class = f" of the class {element_name((kind,), self.spec)}"
        shared = overlaps(box, np.array([one.box for one in able]).reshape(-1, 4))
        if not shared.any():
            raise TargetError(
                f"no detection{of_class} overlaps {','.join(f'{edge:g}' for edge in box)}",
                where="box",
                hint="give left, top, right and bottom, in frame pixels, around one of these",
                choices=self._listed(found.detections),
            )
        return able[int(shared.argmax())].index

    def _require_any(self, found: _Found, where: str) -> None:
        if not found.detections:
            best = self._best(found)
            strongest = Detection(
                element_name(best[:1], self.spec),
                float(found.chances[best]),
                _box(found.boxes[best[1]]),
                best,
            )
            raise TargetError(
                "the model finds nothing in this image",
                where=where,
                hint=f"leave it out to explain the strongest candidate, {strongest}, "
                "or name a class with `target`",
            )

    def _listed(self, detections: tuple[Detection, ...]) -> list[str]:
        listed = [f"{number}: {one}" for number, one in enumerate(detections[:_CHOICES], start=1)]
        more = len(detections) - _CHOICES
        return [*listed, f"{more} more"] if more > 0 else listed


def _strongest(kinds: NDArray[np.intp], candidates: NDArray[np.intp], found: _Found) -> Index:
    """Return the (class, candidate) with the highest probability; the score decides between equals."""
    best = np.lexsort((-found.scores[kinds, candidates], -found.chances[kinds, candidates]))[0]
    return int(kinds[best]), int(candidates[best])


def _axes(choice: Choice) -> int:
    """Return how many numbers ``choice`` has, as a tuple or as text; 1 for a class."""
    if isinstance(choice, tuple):
        return len(choice)
    if isinstance(choice, str) and "," in choice:
        parts = choice.split(",")
        return len(parts) if all(part.strip().isdigit() for part in parts) else 1
    return 1


def _box(corners: NDArray[np.floating]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, corners)
    return left, top, right, bottom


def _said(box: object) -> str:
    """Return what was given as a box in the form in which it is given."""
    try:
        return ",".join(f"{edge:g}" for edge in box)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return repr(box)


def _checked_box(box: object) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = map(float, box)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        left, top, right, bottom = 0.0, 0.0, 0.0, 0.0
    if not (left < right and top < bottom):
        raise TargetError(
            f"{_said(box)} is no box",
            where="box",
            hint="give left, top, right and bottom with left < right and top < bottom, in frame pixels",
        )
    return left, top, right, bottom
