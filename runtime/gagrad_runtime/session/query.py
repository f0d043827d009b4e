"""Query and MapResult: what one explain call asks, and the map with what it was made from."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from gagrad_runtime.explanation.explanation import Provenance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.manifest import Manifest
    from gagrad_edge.method.product import Witnesses
    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.reader import Wanted
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.frame.arrays import Colour
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.reference.image import Aligned
    from gagrad_runtime.sampling.estimation import Stop
    from gagrad_runtime.sampling.saliency import Saliency
    from gagrad_runtime.sampling.samples import Samples

    Array = NDArray[np.float32]


class Asked(NamedTuple):
    """What the caller asks of a frame."""

    wanted: Wanted
    """What to explain."""
    colour: Colour
    """Order of the colour channels of an array or tensor."""
    settings: Settings


class Scene(NamedTuple):
    """One frame and what the model says of it, whatever is asked about it."""

    settings: Settings
    frame: Frame
    placement: Placement
    """Where the frame is in the model's image."""
    device_image: Tensor
    """The model's image, [1, C, H, W], in the device's memory."""
    features: dict[str, Tensor]
    """What ``cam`` takes in place of the image, in the device's memory; empty where it takes the image."""
    samples: Samples
    """The perturbed samples to take gradients at."""
    outputs: Outputs
    """What the model gives for the unperturbed image."""
    clock: Clock
    """Of the scene and of the first question about it."""
    predict_seconds: float
    """Time that ``predict`` takes for one image."""
    image: Array
    """The model's image, [C, H, W], in 0..1."""
    received: NDArray[np.uint8]
    """The model's image as people see it, [H, W] or [H, W, 3]."""
    aligned: Aligned | None = None
    """The good image laid onto this one; None where good parts are not known, and for a misfit."""

    @property
    def scores(self) -> Array:
        """[K…], before the activation."""
        scores: Array = self.outputs.scores[0]
        return scores

    def asked_again(self) -> Scene:
        """Return the scene for another question: its time begins now."""
        return self._replace(clock=Clock())


class Query(NamedTuple):
    """One scene and one target, ready to be explained."""

    scene: Scene
    target: Target

    def without_measures(self) -> Query:
        """Return the same question without RCAP and covering test, for a map that a better one follows."""
        settings = replace(self.settings, rcap=False, cover=False)
        return self._replace(scene=self.scene._replace(settings=settings))

    @property
    def settings(self) -> Settings:
        """How the map is made."""
        return self.scene.settings

    @property
    def clock(self) -> Clock:
        """Wall time of this question."""
        return self.scene.clock


class MapResult(NamedTuple):
    """The saliency map of a query, and the samples that it was made from."""

    saliency: Saliency
    samples: int = 1
    """Number of samples."""
    chunk: int = 1
    """Samples in one run of the graph."""
    stopped: Stop = "samples"
    """Why sampling ended."""
    stability: float | None = None
    """Expected rank correlation with a map of as many other samples, 0..1; None where it is not measured."""
    extremes: tuple[Array, Array] | None = None
    """Smallest and largest scores, [K…] each, over the samples; None for a method without noise."""
    kept: float | None = None
    """Share of the samples that keep the image's answer, 0..1; None where that is not known."""
    witnesses: Witnesses | None = None
    """What points at places beside the map; None for a map without."""
    place_stability: float | None = None
    """How often the halves of the samples agree on place 1, 0..1; None where it is not measured."""
    notes: tuple[str, ...] = ()
    """What was done otherwise than the method says, in sentences."""
    apart: float | None = None
    """Distance of the gradient's own highest place from place 1, in sides; None where it is not known."""


class Clock:
    """Wall time per stage, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.began = self._last = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def lap(self, stage: str) -> None:
        """End the stage: the time since the last lap is added to ``seconds[stage]``."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def provenance(
    manifest: Manifest, sha256: str, backend: Backend, settings: Settings, result: MapResult
) -> Provenance:
    """Return the provenance of ``result``; ``sha256`` is the bundle's."""
    twin = manifest.verification.float_twin
    return Provenance(
        bundle=manifest.name,
        bundle_sha256=sha256,
        backend=backend.description,
        backend_notes=tuple(backend.notes),
        samples=result.samples,
        seed=settings.seed,
        percentile=settings.percentile,
        noise_std=settings.noise_std,
        preset=settings.preset,
        notes=result.notes,
        chunk=result.chunk,
        straight_through=manifest.model.straight_through,
        float_twin=None if twin is None else twin.map_correlation,
        method=settings.method.name,
        guide=settings.guide,
        stopped=result.stopped,
        perturbation=settings.perturb,
        baseline=settings.baseline if settings.method.samples_at == "path" else None,
    )
