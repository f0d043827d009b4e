"""Which cautions an explanation carries: all that is known of frame, answer and map, the gravest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.good import says_good
from gagrad_runtime.explanation.cautions import (
    Caution,
    answer_unusual,
    constant_map,
    copies_lose_answer,
    covering_finds_nothing,
    late,
    not_detected,
    not_settled,
    peaks_disagree,
    place_unstable,
    saturated,
    uncalibrated,
    unstable,
)
from gagrad_runtime.explanation.doubts import unsure
from gagrad_runtime.explanation.input_cautions import (
    constant_image,
    dark_image,
    few_bits,
    frame_unusual,
    upscaled,
)
from gagrad_runtime.reference.reference import MISFIT
from gagrad_runtime.reference.statistics import FrameStatistics

if TYPE_CHECKING:
    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.reference.reference import Reference
    from gagrad_runtime.session.query import MapResult, Query


def cautions(
    explanation: Explanation,
    query: Query,
    result: MapResult,
    manifest: Manifest,
    reference: Reference | None = None,
) -> list[Caution]:
    """Return the cautions of ``explanation``, the gravest first.

    ``manifest`` is the bundle's, and ``reference`` what is known of good parts.
    """
    settings, saliency = query.settings, result.saliency
    said, good = explanation.prediction, None
    found: list[Caution] = []
    if manifest.output.detection is not None and said is not None:
        found += not_detected(explanation.target, said)
    empty = constant_image(explanation.frame, query.scene.image, explanation.placement)
    empty += constant_map(saliency.values, dead=saliency.dead, cam=settings.method.map == "cam")
    found += empty + _of_input(explanation, query, manifest, reference)
    if said is not None:
        good = says_good(said)
        found += [] if reference is None else answer_unusual(reference.unusual_answer(said))
        found += unsure(said, explanation.target, manifest.output)
    if not empty:
        found += _of_evidence(explanation, good, result.apart)
        found += uncalibrated(good, calibrated=reference is not None)
    if explanation.provenance.preset == "paper":
        found += unstable(result.stability)
    found += not_settled(result.stability, settings.until_stable)
    if result.extremes is not None and not empty:
        found += saturated(*result.extremes, explanation.target, result.samples)
    return found + late(query.clock.total, settings.budget_ms, result.samples)


def _of_input(
    explanation: Explanation, query: Query, manifest: Manifest, reference: Reference | None
) -> list[Caution]:
    """Return the cautions about the frame; what is usual among good parts is no fault."""
    frame, image, placement = explanation.frame, query.scene.image, explanation.placement
    if reference is not None:
        statistics = FrameStatistics.of(frame, image[None], placement, manifest.input)
        phrases = reference.unusual(statistics)
        compared = reference.has_image and query.settings.method.map == "product"
        misfit = compared and query.scene.aligned is None
        return frame_unusual([*phrases, *([MISFIT] if misfit else [])])
    found = few_bits(frame, manifest.input.bit_depth) or dark_image(image, placement)
    return found + upscaled(frame, placement)


def _of_evidence(explanation: Explanation, good: bool | None, apart: float | None) -> list[Caution]:
    """Return the cautions about where the map points.

    A good part is good without any of its places. And covering a place can only take away what is there: that
    it changes nothing tells something where the model says that what is explained is there.
    """
    kept = None if explanation.target.against_index is not None else explanation.copies_kept
    if good:
        return copies_lose_answer(kept)
    covering = explanation.covering
    found = covering_finds_nothing(covering) if _stated(explanation) else []
    found += peaks_disagree(explanation.places, covering, apart)
    found += place_unstable(explanation.place_stability, covering)
    return found + copies_lose_answer(kept, covering)


def _stated(explanation: Explanation) -> bool:
    """Whether the model says by itself what is explained."""
    said, target = explanation.prediction, explanation.target
    if said is not None and said.task in ("detection", "multilabel", "segmentation"):
        return target.name in said.present
    return target.index == explanation.predicted.index
