"""A question about one frame, on its way to the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from gagrad_runtime.explanation.cautions import (
    Caution,
    constant_image,
    constant_map,
    late,
    low_rcap,
    saturated,
    unstable,
)
from gagrad_runtime.explanation.explanation import Provenance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.sampling.estimation import Stop
    from gagrad_runtime.sampling.saliency import Saliency
    from gagrad_runtime.sampling.samples import Samples

    Array = NDArray[np.float32]


class Query(NamedTuple):
    """What is asked of one frame, and what the model says to it."""

    settings: Settings
    frame: Frame
    placement: Placement
    device_image: Tensor
    copies: Samples
    scores: Array
    """[K…]"""
    target: Target
    clock: Clock


class Answer(NamedTuple):
    """The map, and what it was made from."""

    saliency: Saliency
    samples: int = 1
    chunk: int = 1
    stopped: Stop = "samples"
    stability: float | None = None
    extremes: tuple[Array, Array] | None = None
    """Smallest and largest scores ``[K…]`` among the copies."""


class Clock:
    """Wall time per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.began = self._last = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def lap(self, stage: str) -> None:
        """End a stage; one that comes again adds up."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def cautions(explanation: Explanation, query: Query, answer: Answer) -> list[Caution]:
    """Return all that there is to say about ``explanation``, the gravest first."""
    settings, saliency = query.settings, answer.saliency
    found = constant_image(explanation.frame.pixels)
    found += constant_map(saliency.values, dead=saliency.dead, cam=settings.method.map == "cam")
    if not found:
        found += low_rcap(explanation.rcap, explanation.probability)
    found += unstable(answer.stability, settings.until_stable)
    if answer.extremes is not None and not found:
        found += saturated(*answer.extremes, explanation.target, answer.samples)
    return found + late(query.clock.total, settings.budget_ms, answer.samples)


def provenance(
    manifest: Manifest, sha256: str, backend: Backend, settings: Settings, answer: Answer
) -> Provenance:
    """Return the provenance of ``answer``; ``sha256`` is the bundle's."""
    twin = manifest.verification.float_twin
    return Provenance(
        bundle=manifest.name,
        bundle_sha256=sha256,
        backend=backend.description,
        backend_notes=tuple(backend.notes),
        samples=answer.samples,
        seed=settings.seed,
        percentile=settings.percentile,
        noise_std=settings.noise_std,
        chunk=answer.chunk,
        straight_through=manifest.model.straight_through,
        float_twin=None if twin is None else twin.map_correlation,
        method=settings.method.name,
        guide=settings.guide,
        stopped=answer.stopped,
        perturbation=settings.perturb,
    )
