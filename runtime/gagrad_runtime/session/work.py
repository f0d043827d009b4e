"""Work: the steps of one explanation, on the open graphs of one bundle."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gagrad_edge import abi
from gagrad_edge.errors import TargetError
from gagrad_runtime.answer.choices import with_choices
from gagrad_runtime.answer.outputs import Outputs, joined
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.answer.rival import against_good
from gagrad_runtime.backend.graphs import Graphs
from gagrad_runtime.explanation.comparing import fits
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.explanation.places import peak_places, salient_places, supposed_place
from gagrad_runtime.explanation.ranking import ranked
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import as_shown, prepare
from gagrad_runtime.question.target import cotangent, weighted
from gagrad_runtime.sampling.chunk import ChunkSize
from gagrad_runtime.sampling.estimation import Estimation, Limits, Pace
from gagrad_runtime.sampling.finite import finite
from gagrad_runtime.sampling.product import GoodEvidence, ProductMaps
from gagrad_runtime.sampling.rcap import Rcap, rcap
from gagrad_runtime.sampling.saliency import StateMaps, class_activations
from gagrad_runtime.sampling.samples import NoiseBank, Samples
from gagrad_runtime.sampling.statistics import Sampler
from gagrad_runtime.session.cautions import cautions
from gagrad_runtime.session.covering import IMAGES, covering_of
from gagrad_runtime.session.query import Asked, Clock, MapResult, Query, Scene, provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.answer.reader import Wanted
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place
    from gagrad_runtime.frame.frame import FrameSource
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.reference.image import Aligned
    from gagrad_runtime.reference.reference import Reference

    Array = NDArray[np.float32]

_FARTHEST = 1e6
"""Pixels from the image's corner at which a box ends."""


class Predicted(NamedTuple):
    """What ``predict`` gave of an image; one is kept from ``predict`` to ``explain`` of the same frame."""

    image: Array
    outputs: Outputs
    features: dict[str, Tensor]
    """What ``cam`` takes in place of the image; empty where it takes the image."""
    seconds: float
    """How long it took."""


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
        self._predicted: Predicted | None = None
        self.reference: Reference | None = None
        """What is known of good parts."""

    def close(self) -> None:
        """Free the graphs, and what stays on the device between explanations."""
        self.graphs.close()
        self.__dict__.pop("_sampler", None)  # which holds graphs; nobody gets past those that are closed
        self._predicted = None

    def outputs(self, images: Array) -> Outputs:
        """Return what ``predict`` gives of ``images [N, C, H, W]``, in as many runs as the engine needs."""
        rows = self.graphs.runner("predict").rows or max(len(images), 1)
        parts = [images[start : start + rows] for start in range(0, len(images), rows)]
        return joined([self.run(self.backend.upload(part)) for part in parts])

    def predicted(self, image: Array) -> Outputs:
        """Return what ``predict`` gives of ``image [1, C, H, W]``, and keep it for the next question."""
        began = time.perf_counter()
        found, features = self._asked_once(self.backend.upload(image))
        self._predicted = Predicted(image, found, features, time.perf_counter() - began)
        return found

    def run(self, images: Tensor, of: str = "") -> Outputs:
        """Return what ``predict`` gives of images in the device's memory. Raises ModelError for NaN.

        ``of`` says in the error which images these are.
        """
        return self._asked_once(images, of)[0]

    def _asked_once(self, images: Tensor, of: str = "") -> tuple[Outputs, dict[str, Tensor]]:
        """Return what ``run`` does, and the activations that stay in the device's memory for ``cam``."""
        found = self.graphs.runner("predict").run({abi.IMAGE: images})
        features = {name: found.pop(name) for name in list(found) if abi.is_feature(name)}
        known = {name: self.backend.download(value) for name, value in found.items()}
        scores = finite(known.pop(abi.SCORES), f"scores{of}")
        if abi.BOXES in known:  # a size that a detector gives as a power of e may be infinite
            known[abi.BOXES] = np.clip(known[abi.BOXES], -_FARTHEST, _FARTHEST)
        beside = {name: finite(values, f"{name}{of}") for name, values in known.items()}
        return Outputs(scores, beside), features

    def explained(self, query: Query, progress: Callable[[int, int], None] | None = None) -> Explanation:
        """Return the explanation of ``query``, of all its samples; ``progress`` gets (done, samples)."""
        if query.settings.method.map == "cam":
            return self.explanation(query, self._class_activation(query))
        estimation = self.estimation(query, self._sampler, progress)
        estimation.grow(query.scene.samples.count)
        self.largest_chunk = estimation.largest_chunk or self.largest_chunk
        sampled = query.clock.total
        explanation = self.explanation(query, self.map(query, estimation))
        self._pace.add_finish(query.clock.total - sampled)
        self._sampler.release_inputs()
        return explanation

    def weighted_map(
        self, scene: Scene, weights: Array, progress: Callable[[int, int], None] | None = None
    ) -> Array:
        """Return the map ``[H, W]`` of the score ⟨weights, scores⟩, and nothing beside it."""
        if weights.shape != scene.scores.shape:
            shape = list(scene.scores.shape)
            raise TargetError(
                f"its shape is {list(weights.shape)}, and an answer of this model is {shape}",
                where="cotangent",
            )
        query = Query(scene, weighted(weights))
        if query.settings.method.map == "cam":
            return self._class_activation(query).saliency.values
        estimation = self.estimation(query, self._sampler, progress)
        estimation.grow(scene.samples.count)
        saliency = estimation.maps.saliency(estimation.sampler.combined()).values
        self._sampler.release_inputs()
        return saliency

    def scene(self, source: FrameSource, asked: Asked) -> Scene:
        """Return a frame, uploaded and predicted, that questions can be asked of. Raises FrameError."""
        clock = Clock()
        self.graphs.runner("predict")  # opened outside the stage that is timed
        if asked.settings.method.map == "product" and self.graphs.has("cam"):
            self.graphs.runner("cam")
        frame = frame_for(self.manifest.input, source, colour=asked.colour)
        image, placement = prepare(frame, self.manifest.input)
        clock.lap("decode")
        device_image = self.backend.upload(image)
        known, self._predicted = self._predicted, None
        if known is not None and np.array_equal(known.image, image):
            outputs, features, seconds = known.outputs, known.features, known.seconds
            clock.lap("predict")
        else:
            outputs, features = self._asked_once(device_image)
            clock.lap("predict")
            seconds = clock.seconds["predict"]
        samples = Samples(self.backend, self._noise, self.manifest.input, asked.settings, image)
        return Scene(
            asked.settings,
            frame,
            placement,
            device_image,
            features,
            samples,
            outputs,
            clock,
            seconds,
            image[0],
            as_shown(image, self.manifest.input, frame),
            self._aligned(asked.settings, image, placement, clock),
        )

    def _aligned(
        self, settings: Settings, image: Array, placement: Placement, clock: Clock
    ) -> Aligned | None:
        """Return the good image laid onto ``image``; None where it is not known, and for a misfit."""
        if self.reference is None or settings.method.map != "product":
            return None
        aligned = self.reference.aligned(image, placement)
        clock.lap("good")
        return aligned

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
        noise_std = self.backend.upload(np.array(samples.noise_std, np.float32))
        asked = self._asked(query)
        sampler.begin(
            accumulate=self.graphs.runner("accumulate", abi.PERTURBED if settings.perturb else ""),
            fixed={**asked, abi.NOISE_STD: noise_std},
        )
        chunk = settings.chunk or self._choose(sampler, samples, settings)
        query.clock.lap("trial")
        maps = self._maps(query, asked)
        query.clock.lap("activation")
        levels = 1 / self.manifest.method.rcap_interval
        passes = max(levels * settings.rcap + IMAGES * settings.cover, 1)
        return Estimation(
            sampler=sampler,
            inputs=samples.inputs,
            limits=Limits(
                samples=samples.count,
                deadline=None
                if settings.budget_ms is None
                else query.clock.began + settings.budget_ms / 1000,
                reserve=passes * scene.predict_seconds,
                stable=settings.until_stable,
            ),
            chunk=min(chunk, self.largest_chunk or chunk),
            pace=self._pace,
            maps=maps,
            progress=progress,
            keeps=self._keeps(query)
            if settings.method.samples_at == "noisy" and query.target.weights is None
            else None,
        )

    def _keeps(self, query: Query) -> Callable[[Array], NDArray[np.bool_] | None]:
        """Return what says of a chunk's scores which of the samples keep the image's answer."""
        scene = query.scene

        def kept(scores: Array) -> NDArray[np.bool_] | None:
            return self.reader.keeps(query.target, Outputs(scores), scene.outputs, scene.placement)

        return kept

    def _asked(self, query: Query) -> dict[str, Tensor]:
        """Return the image and the cotangent of ``query``, on the device."""
        target = query.target
        if query.settings.method.map == "product":
            target = against_good(target, query.scene.scores, self.manifest.output)
        weights = cotangent(target, query.scene.scores.shape)
        return {abi.IMAGE: query.scene.device_image, abi.COTANGENT: self.backend.upload(weights)}

    def _asked_of_cam(self, query: Query, asked: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the inputs of ``cam``: the image or, where the forward pass is shared, its activations."""
        features = query.scene.features
        return {**features, abi.COTANGENT: asked[abi.COTANGENT]} if features else asked

    def _maps(self, query: Query, asked: dict[str, Tensor]) -> StateMaps:
        """Return what makes the map of the method of ``query``; the class activation is made now."""
        settings, samples = query.settings, query.scene.samples
        if settings.method.map != "product":
            return StateMaps(self.backend, self.graphs, settings, samples.multiplier)
        return ProductMaps(
            self.backend,
            self.graphs,
            settings,
            query.scene.image,
            self._asked_of_cam(query, asked),
            query.scene.placement.on_model,
            self._good(query),
        )

    def _compared_with(self, query: Query) -> Aligned | None:
        """Return the good image laid onto this one, where it can tell the reason for the target."""
        if self.reference is None or query.target.weights is not None:
            return None
        if not self.reference.explains(query.target, self.manifest.output):
            return None
        return query.scene.aligned

    def _good(self, query: Query) -> GoodEvidence | None:
        """Return what good parts say where they lie as this one does; None where nothing is known."""
        aligned, target = self._compared_with(query), query.target
        if aligned is None:
            return None
        plain = target.region is None and target.against_index is None
        return GoodEvidence(aligned.difference, aligned.gradient(target.index) if plain else None)

    def _choose(self, sampler: Sampler, samples: Samples, settings: Settings) -> int:
        """Return this device's chunk size; the first time there, after a trial whose results are dropped."""
        if self.largest_chunk == 1:
            return 1
        if settings.budget_ms is not None or settings.method.samples_at == "single":
            # No time for trials, or nothing to chunk.
            return self._chunk.chosen(settings.samples) or self.manifest.method.chunk

        def trial(rows: int) -> None:
            sampler.restart()
            sampler.run(rows, samples.inputs(0, rows))

        return self._chunk.choose(trial, settings.samples)

    def map(self, query: Query, estimation: Estimation) -> MapResult:
        """Return the map of the samples so far."""
        query.clock.lap("explain")
        state = estimation.sampler.combined()
        maps = estimation.maps
        saliency = maps.saliency(state)
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
            estimation.kept,
            maps.witnesses,
            maps.place_stability(saliency),
            maps.notes,
            maps.apart,
        )

    def _class_activation(self, query: Query) -> MapResult:
        names, asked = (query.settings.method.name,), self._asked_of_cam(query, self._asked(query))
        saliency, *_ = class_activations(self.backend, self.graphs, names, asked)
        query.clock.lap("map")
        return MapResult(saliency)

    def explanation(self, query: Query, result: MapResult) -> Explanation:
        """Return what is known of ``query`` with the map ``result``: RCAP, cautions, provenance."""
        scene, clock, spec = query.scene, query.clock, self.manifest.output
        score = self._rcap(query, result.saliency.values) if query.settings.rcap else None
        clock.lap("rcap")
        places, covering = self._places(query, result), None
        if query.settings.cover:
            places, covering = self._covering(query, places, result)
        if query.settings.method.map == "product":
            places, covering = ranked(places, covering)
        clock.lap("covering")
        prediction = self.reader.prediction(scene.outputs, scene.placement)
        explanation = Explanation(
            saliency=result.saliency.values,
            scores=scene.scores,
            probabilities=prediction.probabilities,
            activation=spec.activation,
            target=query.target,
            predicted=self.reader.predicted(query.target, scene.outputs, scene.placement),
            rcap=score,
            places=places,
            covering=covering,
            cautions=(),
            provenance=provenance(self.manifest, self._sha256, self.backend, query.settings, result),
            frame=scene.frame,
            placement=scene.placement,
            received=scene.received,
            prediction=prediction,
            raw=result.saliency.raw,
            stability=result.stability,
            place_stability=result.place_stability,
            copies_kept=result.kept,
            classes=tuple(spec.classes),
            seconds=dict(clock.seconds),
        )
        explanation = self._compared(explanation, query)
        found = cautions(explanation, query, result, self.manifest, self.reference)
        return replace(explanation, cautions=tuple(found))

    def _covering(
        self, query: Query, places: tuple[Place, ...], result: MapResult
    ) -> tuple[tuple[Place, ...], Covering | None]:
        scene, aligned = query.scene, self._compared_with(query)
        return covering_of(
            places,
            supposed=supposed_place(result.saliency.values, result.witnesses, places, scene.placement),
            image=scene.image,
            placement=scene.placement,
            target=query.target,
            original=scene.outputs,
            reader=self.reader,
            predict=self.outputs,
            good=None if aligned is None else (aligned.image, aligned.known),
        )

    def _compared(self, explanation: Explanation, query: Query) -> Explanation:
        """Return ``explanation`` with what is known of good parts."""
        if self.reference is None:
            return explanation
        scale = self.reference.scale
        explanation = replace(
            explanation,
            provenance=replace(
                explanation.provenance,
                good_sha256=self.reference.sha256 or None,
                good_image=self._compared_with(query) is not None,
            ),
        )
        comparable = scale is not None and fits(scale, explanation)
        return replace(explanation, scale=scale if comparable else None)

    def _places(self, query: Query, result: MapResult) -> tuple[Place, ...]:
        values, placement = result.saliency.values, query.scene.placement
        if query.settings.method.map == "product":
            aligned = self._compared_with(query)
            difference = None if aligned is None else aligned.difference
            return peak_places(values, result.witnesses, placement, difference)
        return salient_places(values, placement)

    def _rcap(self, query: Query, saliency: Array) -> Rcap:
        inputs = {abi.IMAGE: query.scene.device_image, abi.SALIENCY: self.backend.upload(saliency)}
        outputs = self.graphs.runner("recover").run(inputs)
        recovered = self.run(outputs[abi.RECOVERED], " of a recovered image")
        conf = self.reader.confidence(recovered, query.scene.outputs, query.target)
        return rcap(self.backend.download(outputs[abi.RATIO]), conf, self.manifest.method)

    def new_sampler(self) -> Sampler:
        """Return running statistics of gradients on the device, empty."""
        return Sampler(self.backend, self.graphs.runner("combine"), self.manifest.input.shape)
