"""Work: the steps of one explanation, on the open graphs of one bundle."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge import abi
from gagrad_edge.errors import TargetError
from gagrad_runtime.answer.choices import with_choices
from gagrad_runtime.answer.outputs import Outputs, joined
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.backend.graphs import Graphs
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.explanation.places import salient_places
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.target import cotangent
from gagrad_runtime.sampling.chunk import ChunkSize
from gagrad_runtime.sampling.estimation import Estimation, Limits, Pace, finite
from gagrad_runtime.sampling.rcap import Rcap, rcap
from gagrad_runtime.sampling.saliency import agreement, class_activation, saliency_of
from gagrad_runtime.sampling.samples import NoiseBank, Samples
from gagrad_runtime.sampling.statistics import Sampler
from gagrad_runtime.session.query import Asked, Clock, MapResult, Query, Scene, cautions, provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.answer.reader import Wanted
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.frame.frame import FrameSource
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.reference.reference import Reference

    Array = NDArray[np.float32]

_FARTHEST = 1e6
"""Pixels from the image's corner at which a box ends."""


class Work:
    """Makes explanations, one at a time: state, noise and chunk size stay on the device between them."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.manifest: Manifest = bundle.manifest
        self.backend = backend
        self.reader = reader_of(self.manifest.output)
        self.graphs = Graphs(bundle, backend)
        self.largest_chunk: int | None = None
        """Most samples of one run, where memory or the engine allows fewer than were wished."""
        self._sha256 = bundle.sha256
        self._chunk = ChunkSize(backend, bundle.sha256, self.manifest.method.chunk)
        shape = self.manifest.input.shape
        self._noise = NoiseBank(backend, shape, self.manifest.method.samples)
        self._sampler = self.new_sampler()
        self._pace = Pace()
        self.reference: Reference | None = None
        """What is known of good parts."""

    def outputs(self, images: Array) -> Outputs:
        """Return what ``predict`` gives of ``images [N, C, H, W]``, in as many runs as the engine needs."""
        rows = self.graphs.runner("predict").rows or max(len(images), 1)
        parts = [images[start : start + rows] for start in range(0, len(images), rows)]
        return joined([self.run(self.backend.upload(part)) for part in parts])

    def run(self, images: Tensor, of: str = "") -> Outputs:
        """Return what ``predict`` gives of images in the device's memory. Raises ModelError for NaN.

        ``of`` says in the error which images these are.
        """
        found = self.graphs.runner("predict").run({abi.IMAGE: images})
        known = {name: self.backend.download(value) for name, value in found.items()}
        scores = finite(known.pop(abi.SCORES), f"scores{of}")
        if abi.BOXES in known:  # a size that a detector gives as a power of e may be infinite
            known[abi.BOXES] = np.clip(known[abi.BOXES], -_FARTHEST, _FARTHEST)
        return Outputs(scores, {name: finite(values, f"{name}{of}") for name, values in known.items()})

    def explained(self, query: Query, progress: Callable[[int, int], None] | None = None) -> Explanation:
        """Return the explanation of ``query``, of all its samples; ``progress`` gets (done, samples)."""
        if query.settings.method.map == "cam":
            return self.explanation(query, self._class_activation(query))
        estimation = self.estimation(query, self._sampler, progress)
        estimation.grow(query.scene.samples.count)
        self.largest_chunk = estimation.largest_chunk or self.largest_chunk
        explanation = self.explanation(query, self.map(query, estimation))
        self._pace.add_finish(sum(query.clock.seconds[stage] for stage in ("map", "stability", "rcap")))
        self._sampler.release_inputs()
        return explanation

    def scene(self, source: FrameSource, asked: Asked) -> Scene:
        """Return a frame, uploaded and predicted, that questions can be asked of. Raises FrameError."""
        clock = Clock()
        self.graphs.runner("predict")  # opened outside the stage that is timed
        frame = frame_for(self.manifest.input, source, colour=asked.colour)
        image, placement = prepare(frame, self.manifest.input)
        clock.lap("decode")
        device_image = self.backend.upload(image)
        outputs = self.run(device_image)
        clock.lap("predict")
        samples = Samples(self.backend, self._noise, self.manifest.input, asked.settings, image)
        return Scene(
            asked.settings, frame, placement, device_image, samples, outputs, clock, clock.seconds["predict"]
        )

    def query(self, scene: Scene, wanted: Wanted) -> Query:
        """Return the question about ``scene``. Raises TargetError, which lists what can be asked."""
        try:
            target = self.reader.target(wanted, scene.outputs, scene.placement)
        except TargetError as error:
            raise with_choices(error, self.reader, scene.outputs) from None
        scene.clock.lap("predict")
        return Query(scene, target)

    def estimation(
        self, query: Query, sampler: Sampler, progress: Callable[[int, int], None] | None = None
    ) -> Estimation:
        """Return the sampling for ``query`` into ``sampler``, with nothing sampled yet."""
        scene, settings, samples = query.scene, query.settings, query.scene.samples
        sampler.begin(
            accumulate=self.graphs.runner("accumulate", abi.PERTURBED if settings.perturb else ""),
            fixed={
                abi.IMAGE: scene.device_image,
                abi.NOISE_STD: self.backend.upload(np.array(samples.noise_std, np.float32)),
                abi.COTANGENT: self.backend.upload(cotangent(query.target, scene.scores.shape)),
            },
        )
        chunk = settings.chunk or self._choose(sampler, samples, settings)
        query.clock.lap("trial")
        levels = 1 / self.manifest.method.rcap_interval
        return Estimation(
            sampler=sampler,
            inputs=samples.inputs,
            limits=Limits(
                samples=samples.count,
                deadline=None
                if settings.budget_ms is None
                else query.clock.began + settings.budget_ms / 1000,
                reserve=levels * scene.predict_seconds,
                stable=settings.until_stable,
            ),
            chunk=min(chunk, self.largest_chunk or chunk),
            pace=self._pace,
            agreement=partial(agreement, self.backend, self.graphs, settings, sampler, samples.multiplier)
            if settings.method.splits
            else None,
            progress=progress,
        )

    def _choose(self, sampler: Sampler, samples: Samples, settings: Settings) -> int:
        """Return this device's chunk size; the first time there, after a trial whose results are dropped."""
        if self.largest_chunk == 1:
            return 1
        if settings.budget_ms is not None or settings.method.samples_at == "single":
            return self._chunk.chosen or self.manifest.method.chunk  # no time for trials, or nothing to chunk

        def trial(rows: int) -> None:
            sampler.restart()
            sampler.run(rows, samples.inputs(0, rows))

        return self._chunk.choose(trial)

    def map(self, query: Query, estimation: Estimation) -> MapResult:
        """Return the map of the samples so far."""
        query.clock.lap("explain")
        state = estimation.sampler.combined()
        saliency = saliency_of(
            self.backend, self.graphs, query.settings, state, query.scene.samples.multiplier
        )
        query.clock.lap("map")
        stability = estimation.measure()
        query.clock.lap("stability")
        return MapResult(
            saliency,
            estimation.sampler.count,
            estimation.chunk,
            estimation.stopped,
            stability,
            estimation.scores if query.settings.method.splits else None,
        )

    def _class_activation(self, query: Query) -> MapResult:
        weights = self.backend.upload(cotangent(query.target, query.scene.scores.shape))
        inputs = {abi.IMAGE: query.scene.device_image, abi.COTANGENT: weights}
        saliency = class_activation(self.backend, self.graphs, query.settings, inputs)
        query.clock.lap("map")
        return MapResult(saliency)

    def explanation(self, query: Query, result: MapResult) -> Explanation:
        """Return what is known of ``query`` with the map ``result``: RCAP, cautions, provenance."""
        scene, clock, spec = query.scene, query.clock, self.manifest.output
        score = self._rcap(query, result.saliency.values)
        clock.lap("rcap")
        prediction = self.reader.prediction(scene.outputs, scene.placement)
        explanation = Explanation(
            saliency=result.saliency.values,
            scores=scene.scores,
            probabilities=prediction.probabilities,
            activation=spec.activation,
            target=query.target,
            predicted=self.reader.predicted(query.target, scene.outputs, scene.placement),
            rcap=score,
            places=salient_places(result.saliency.values, scene.placement),
            cautions=(),
            provenance=provenance(self.manifest, self._sha256, self.backend, query.settings, result),
            frame=scene.frame,
            placement=scene.placement,
            prediction=prediction,
            raw=result.saliency.raw,
            stability=result.stability,
            classes=tuple(spec.classes),
            seconds=dict(clock.seconds),
        )
        explanation = self._compared(explanation)
        found = cautions(explanation, query, result, self.manifest)
        return replace(explanation, cautions=tuple(found))

    def _compared(self, explanation: Explanation) -> Explanation:
        """Return ``explanation`` with what is known of good parts."""
        if self.reference is None:
            return explanation
        scale = self.reference.scale
        return replace(
            explanation,
            scale=scale if scale is not None and scale.fits(explanation) else None,
            provenance=replace(explanation.provenance, good_sha256=self.reference.sha256 or None),
        )

    def _rcap(self, query: Query, saliency: Array) -> Rcap:
        inputs = {abi.IMAGE: query.scene.device_image, abi.SALIENCY: self.backend.upload(saliency)}
        outputs = self.graphs.runner("recover").run(inputs)
        recovered = self.run(outputs[abi.RECOVERED], " of a recovered image")
        conf = self.reader.confidence(recovered, query.scene.outputs, query.target)
        return rcap(self.backend.download(outputs[abi.RATIO]), conf, self.manifest.method)

    def new_sampler(self) -> Sampler:
        """Return running statistics of gradients on the device, empty."""
        return Sampler(self.backend, self.graphs.runner("combine"), self.manifest.input.shape)
