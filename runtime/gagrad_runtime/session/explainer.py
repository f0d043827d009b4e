"""The explainer: a checked bundle on a device, ready to explain frames."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge import abi
from gagrad_runtime.backend.graphs import Graphs
from gagrad_runtime.explanation.explanation import Explanation, Verdict
from gagrad_runtime.frame import Frame, load_frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.output_region import region_of
from gagrad_runtime.question.settings import Settings
from gagrad_runtime.question.target import cotangent, predicted_target, probabilities, resolve_target
from gagrad_runtime.sampling.chunk import ChunkSize
from gagrad_runtime.sampling.estimation import MIN_SAMPLES, Estimation, Limits, Pace, finite
from gagrad_runtime.sampling.rcap import Rcap, confidence, rcap
from gagrad_runtime.sampling.saliency import agreement, class_activation, saliency_of
from gagrad_runtime.sampling.samples import NoiseBank, Samples
from gagrad_runtime.sampling.statistics import Sampler
from gagrad_runtime.session.query import Answer, Clock, Query, cautions, provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.question.target import Choice

    Array = NDArray[np.float32]
    FrameLike = str | Path | NDArray[Any] | Frame


class Explainer:
    """Explains frames with one bundle on one device.

    Use it as a context manager, for as many frames as you like: graphs, state and noise stay on the device.
    Threads may share one, and take turns.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.manifest: Manifest = bundle.manifest
        self.backend = backend
        self._sha256 = bundle.sha256
        self.graphs = Graphs(bundle, backend)
        self._chunk = ChunkSize(backend, bundle.sha256, self.manifest.method.chunk)
        self.largest_chunk: int | None = None
        shape = self.manifest.input.shape
        self._noise = NoiseBank(backend, shape, self.manifest.method.samples)
        self._sampler = self._new_sampler()
        self._pace = Pace()
        self._lock = threading.RLock()

    def __enter__(self) -> Explainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine's memory. Explaining afterwards is an error."""
        self.graphs.close()

    def one_row_at_a_time(self) -> None:
        """Never compute more than one copy in a run: for an engine that gets batches wrong."""
        self.largest_chunk = 1
        self.graphs.one_row_at_a_time()

    def predict(self, images: Array) -> Array:
        """Return ``scores [N, K…]`` of ``images [N, C, H, W]``, float32 with pixel values 0..1."""
        with self._lock:
            runner = self.graphs.runner("predict")
            rows = runner.rows or max(len(images), 1)
            parts = [images[start : start + rows] for start in range(0, len(images), rows)]
            runs = (runner.run({abi.IMAGE: self.backend.upload(part)}) for part in parts)
            scores = np.concatenate([self.backend.download(outputs[abi.SCORES]) for outputs in runs])
            return finite(scores, "scores")

    def verdict(self, frame: FrameLike) -> Verdict:
        """Return what the model says of ``frame``. Raises FrameError, ModelError and DeviceError."""
        image, _ = prepare(_loaded(frame), self.manifest.input)
        scores = self.predict(image)
        target = predicted_target(scores[0], self.manifest.output)
        chances = probabilities(scores, self.manifest.output.activation)
        return Verdict(target, None if chances is None else target.reading(chances[0]))

    def explain(
        self,
        frame: FrameLike,
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        region: str | NDArray[np.bool_] | None = None,
        progress: Callable[[int, int], None] | None = None,
        **settings: Any,
    ) -> Explanation:
        """Return the saliency map of ``frame`` with its RCAP and its stability.

        ``frame`` is a path, an array [H, W] or [H, W, 3] (RGB), uint8 or uint16, or a ``Frame``. ``target``
        is a class name or an index, by default what the model predicts; with ``against``, "why this and not
        that"; with ``region`` (a box ``left,top,right,bottom`` or a mask, in the frame) the class's score
        there, of a model with a spatial output. ``progress`` is called with (samples done, samples).

        ``settings`` over the bundle's: ``method`` (``gagrad_runtime.question.methods``), ``guide``,
        ``samples``, ``seed``, ``percentile``, ``noise_std``, ``baseline`` (of integrated gradients), ``perturb``
        (beside noise, such as ``shift=2,angle=2``, of a bundle exported with perturbations), ``chunk`` (copies at a
        time; by default what is fast here and fits in memory), ``budget_ms`` (be done by then with what
        there is, from 4 samples on) and ``until_stable`` (stop at this stability), both with ``samples`` as
        the cap.

        Without a budget the same bundle, frame, settings and device give the same map, bit for bit. Raises
        FrameError, TargetError, SettingError, ModelError (also when the model gives NaN) and DeviceError.
        """
        with self._lock:
            query = self._query(frame, target, against, region, Settings.of(self.manifest.method, **settings))
            if query.settings.method.map == "cam":
                return self._explanation(query, self._class_activation(query))
            estimation = self._estimation(query, self._sampler, progress)
            estimation.grow(query.copies.count)
            self.largest_chunk = estimation.largest_chunk or self.largest_chunk
            explanation = self._explanation(query, self._answer(query, estimation))
            self._pace.add_finish(sum(query.clock.seconds[stage] for stage in ("map", "stability", "rcap")))
            self._sampler.release_inputs()
            return explanation

    def explain_targets(
        self, frame: FrameLike, targets: Sequence[Choice], **settings: Any
    ) -> list[Explanation]:
        """Return one explanation for each of ``targets``, of one frame and with the same noise."""
        loaded = _loaded(frame)
        return [self.explain(loaded, target, **settings) for target in targets]

    def refine(
        self,
        frame: FrameLike,
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        region: str | NDArray[np.bool_] | None = None,
        **settings: Any,
    ) -> Iterator[Explanation]:
        """Yield better and better explanations of ``frame``: of 4 samples, 8, 16, … to ``samples``.

        The last one is what ``explain`` returns for the same settings, up to rounding. Stop when you like;
        other calls may come in between. A method that does not average has one explanation only.
        """
        chosen = Settings.of(self.manifest.method, **settings)
        if not chosen.method.splits:
            yield self.explain(frame, target, against=against, region=region, **settings)
            return
        with self._lock:
            query = self._query(frame, target, against, region, chosen)
            estimation = self._estimation(query, self._new_sampler())
        until = MIN_SAMPLES
        while True:
            with self._lock:
                estimation.grow(until)
                explanation = self._explanation(query, self._answer(query, estimation))
            yield explanation
            if estimation.ended:
                return
            until *= 2

    def _query(
        self,
        frame: FrameLike,
        target: Choice | None,
        against: Choice | None,
        region: str | NDArray[np.bool_] | None,
        settings: Settings,
    ) -> Query:
        clock = Clock()
        runner = self.graphs.runner("predict")
        loaded = _loaded(frame)
        image, placement = prepare(loaded, self.manifest.input)
        clock.lap("decode")
        device_image = self.backend.upload(image)
        outputs = runner.run({abi.IMAGE: device_image})
        scores = finite(self.backend.download(outputs[abi.SCORES]), "scores")[0]
        spec = self.manifest.output
        cells = None if region is None else region_of(region, placement, spec)
        chosen = resolve_target(target, against, scores, spec, cells)
        clock.lap("predict")
        copies = Samples(self.backend, self._noise, self.manifest.input, settings, image)
        return Query(settings, loaded, placement, device_image, copies, scores, chosen, clock)

    def _estimation(
        self, query: Query, sampler: Sampler, progress: Callable[[int, int], None] | None = None
    ) -> Estimation:
        settings, copies = query.settings, query.copies
        sampler.begin(
            accumulate=self.graphs.runner("accumulate", abi.PERTURBED if settings.perturb else ""),
            fixed={
                abi.IMAGE: query.device_image,
                abi.NOISE_STD: self.backend.upload(np.array(copies.noise_std, np.float32)),
                abi.COTANGENT: self.backend.upload(cotangent(query.target, query.scores.shape)),
            },
        )
        chunk = settings.chunk or self._choose(sampler, copies, settings)
        query.clock.lap("trial")
        levels = 1 / self.manifest.method.rcap_interval
        return Estimation(
            sampler=sampler,
            inputs=copies.inputs,
            limits=Limits(
                samples=copies.count,
                deadline=None
                if settings.budget_ms is None
                else query.clock.began + settings.budget_ms / 1000,
                reserve=levels * query.clock.seconds["predict"],
                stable=settings.until_stable,
            ),
            chunk=min(chunk, self.largest_chunk or chunk),
            pace=self._pace,
            agreement=partial(agreement, self.backend, self.graphs, settings, sampler, copies.multiplier)
            if settings.method.splits
            else None,
            progress=progress,
        )

    def _choose(self, sampler: Sampler, copies: Samples, settings: Settings) -> int:
        """Return this device's chunk size; the first time there, after a trial whose results are dropped."""
        if self.largest_chunk == 1:
            return 1
        if settings.budget_ms is not None or settings.method.copies == "single":
            return self._chunk.chosen or self.manifest.method.chunk  # no time for trials, or nothing to chunk

        def trial(rows: int) -> None:
            sampler.restart()
            sampler.run(rows, copies.inputs(0, rows))

        return self._chunk.choose(trial)

    def _answer(self, query: Query, estimation: Estimation) -> Answer:
        """Return the map of the samples so far."""
        query.clock.lap("explain")
        state = estimation.sampler.combined()
        saliency = saliency_of(self.backend, self.graphs, query.settings, state, query.copies.multiplier)
        query.clock.lap("map")
        stability = estimation.measure()
        query.clock.lap("stability")
        return Answer(
            saliency,
            estimation.sampler.count,
            estimation.chunk,
            estimation.stopped,
            stability,
            estimation.scores if query.settings.method.splits else None,
        )

    def _class_activation(self, query: Query) -> Answer:
        weights = self.backend.upload(cotangent(query.target, query.scores.shape))
        inputs = {abi.IMAGE: query.device_image, abi.COTANGENT: weights}
        saliency = class_activation(self.backend, self.graphs, query.settings, inputs)
        query.clock.lap("map")
        return Answer(saliency)

    def _explanation(self, query: Query, answer: Answer) -> Explanation:
        clock, spec = query.clock, self.manifest.output
        score = self._rcap(query, answer.saliency.values)
        clock.lap("rcap")
        chances = probabilities(query.scores[None], spec.activation)
        explanation = Explanation(
            saliency=answer.saliency.values,
            scores=query.scores,
            probabilities=None if chances is None else chances[0],
            activation=spec.activation,
            target=query.target,
            predicted=predicted_target(query.scores, spec, query.target.region),
            rcap=score,
            cautions=(),
            provenance=provenance(self.manifest, self._sha256, self.backend, query.settings, answer),
            frame=query.frame,
            placement=query.placement,
            raw=answer.saliency.raw,
            stability=answer.stability,
            classes=tuple(spec.classes),
            seconds=dict(clock.seconds),
        )
        return replace(explanation, cautions=tuple(cautions(explanation, query, answer)))

    def _rcap(self, query: Query, saliency: Array) -> Rcap:
        inputs = {abi.IMAGE: query.device_image, abi.SALIENCY: self.backend.upload(saliency)}
        outputs = self.graphs.runner("recover").run(inputs)
        recovered = self.graphs.runner("predict").run({abi.IMAGE: outputs[abi.RECOVERED]})[abi.SCORES]
        conf = confidence(
            finite(self.backend.download(recovered), "scores of a recovered image"),
            query.scores,
            query.target,
            self.manifest.output.activation,
        )
        return rcap(self.backend.download(outputs[abi.RATIO]), conf, self.manifest.method)

    def _new_sampler(self) -> Sampler:
        return Sampler(self.backend, self.graphs.runner("combine"), self.manifest.input.shape)


def _loaded(frame: FrameLike) -> Frame:
    return frame if isinstance(frame, Frame) else load_frame(frame)
