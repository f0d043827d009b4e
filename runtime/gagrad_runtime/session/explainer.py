"""Explainer: a bundle whose graphs are open on a device, ready to explain frames."""

from __future__ import annotations

import difflib
import reprlib
import threading
from collections.abc import Iterator
from io import IOBase
from typing import TYPE_CHECKING, Any, NoReturn, overload

import msgspec

from gagrad_edge.abi import PERTURBED
from gagrad_edge.errors import SettingError
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.explanation.input_cautions import frame_unusual
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.perturbation import parse_perturbations
from gagrad_runtime.question.settings import Settings
from gagrad_runtime.reference.statistics import FrameStatistics
from gagrad_runtime.sampling.estimation import MIN_SAMPLES
from gagrad_runtime.session.query import Asked
from gagrad_runtime.session.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import Manifest, NoiseLevel
    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.answer.reader import Box, Reader
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.backend.graphs import Graphs
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.arrays import Colour
    from gagrad_runtime.frame.frame import Frame, FrameSource
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.output_region import RegionChoice
    from gagrad_runtime.question.target import Choice
    from gagrad_runtime.reference.reference import Reference

    Array = NDArray[np.float32]


class Explainer:
    """Explains frames with one bundle on one device.

    ``gagrad_runtime.load`` makes an explainer. Use it as a context manager, for as many frames as you like:
    graphs, state and noise stay on the device. Threads may share an explainer, and take turns.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.manifest: Manifest = bundle.manifest
        self.backend = backend
        self._sha256 = bundle.sha256
        self._defaults = bundle.manifest.method
        self._work = Work(bundle, backend)
        self._lock = threading.RLock()

    @property
    def reader(self) -> Reader:
        """What reads the model's outputs, by its task."""
        return self._work.reader

    @property
    def graphs(self) -> Graphs:
        """The bundle's graphs, opened when they are first used."""
        return self._work.graphs

    @property
    def bundle_sha256(self) -> str:
        """SHA-256 of the bundle's bytes, in hex."""
        return self._sha256

    @property
    def largest_chunk(self) -> int | None:
        """Most samples of one run, where memory or the engine allows fewer than were wished; else None."""
        return self._work.largest_chunk

    def __repr__(self) -> str:
        channels, height, width = self.manifest.input.shape
        size = f"{channels} channel{'s' if channels > 1 else ''}, {height} high, {width} wide"
        classes = len(self.manifest.output.classes)
        named = f", {classes} classes" if classes else ""
        return (
            f"Explainer({reprlib.repr(self.manifest.name)} {self._sha256[:12]}, image {size}{named}, "
            f"{self.backend.description[:60]})"
        )

    def __enter__(self) -> Explainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine's memory. Explaining afterwards raises SettingError."""
        self._work.close()

    def rest(self) -> None:
        """Give back the memory that explanations have used; the next one takes it again, and longer.

        For a program that waits. What is loaded stays loaded.
        """
        with self._lock:
            self.backend.rest()

    def one_row_at_a_time(self) -> None:
        """Run the graphs with one sample at a time: for an engine whose batches of several are wrong."""
        self._work.largest_chunk = 1
        self.graphs.one_row_at_a_time()

    def judge_by(self, threshold: float) -> None:
        """Take ``threshold`` for an anomaly scorer whose bundle has none: parts from it on are NG."""
        spec = self.manifest.output
        if spec.anomaly is not None and spec.anomaly.threshold is None:
            judged = msgspec.structs.replace(spec.anomaly, threshold=threshold)
            self._work.reader = reader_of(msgspec.structs.replace(spec, anomaly=judged))

    def use_noise(self, level: NoiseLevel) -> None:
        """Take ``level``, measured on this line's parts, in place of the bundle's for the operator's map."""
        self._defaults = msgspec.structs.replace(self._defaults, operator=level)

    @property
    def reference(self) -> Reference | None:
        """What is known of good parts; None where there is nothing to compare with."""
        return self._work.reference

    @property
    def good_sha256(self) -> str | None:
        """SHA-256 of what is known of good parts; None where nothing is."""
        return None if self.reference is None else self.reference.sha256

    def use_reference(self, reference: Reference) -> None:
        """Compare with these good parts from now on: their noise, threshold, scale and image are used."""
        self._work.reference = reference
        if reference.noise is not None:
            self.use_noise(reference.noise)
        if reference.threshold is not None:
            self.judge_by(reference.threshold)

    def scores(self, images: Array) -> Array:
        """Return ``scores [N, K…]`` of ``images [N, C, H, W]``, float32 with pixel values 0..1.

        Scores are before the activation.
        The images are the model's: resized and ordered as the bundle says. ``predict`` takes frames.
        """
        return self.outputs(images).scores

    def outputs(self, images: Array) -> Outputs:
        """Return what ``predict`` gives of ``images [N, C, H, W]``: the scores, and what is beside them."""
        with self._lock:
            return self._work.outputs(images)

    def predict(self, frame: FrameSource, *, colour: Colour = "rgb") -> Prediction:
        """Return what the model says of ``frame``, in any form that ``load_frame`` takes.

        An explanation of the same frame that follows at once does not ask the model for it again. Raises
        FrameError, ModelError and DeviceError.
        """
        _, _, placement, outputs = self._seen(frame, colour)
        return self.reader.prediction(outputs, placement)

    def judge(
        self, frame: FrameSource, *, colour: Colour = "rgb"
    ) -> tuple[Prediction, tuple[Caution, ...] | None]:
        """Return what ``predict`` does, and the cautions about the frame; None without good parts to compare.

        They are those that cost next to nothing: size, channels, bits, light, contrast, colours, sharpness.
        Raises FrameError, ModelError and DeviceError.
        """
        found, image, placement, outputs = self._seen(frame, colour)
        said = self.reader.prediction(outputs, placement)
        if self.reference is None:
            return said, None
        statistics = FrameStatistics.of(found, image, placement, self.manifest.input)
        return said, tuple(frame_unusual(self.reference.unusual(statistics)))

    def _seen(self, source: FrameSource, colour: Colour) -> tuple[Frame, Array, Placement, Outputs]:
        """Return a frame, as the model's image [1, C, H, W], where it lies there, and the model's outputs."""
        frame = frame_for(self.manifest.input, source, colour=colour)
        image, placement = prepare(frame, self.manifest.input)
        with self._lock:
            return frame, image, placement, self._work.predicted(image)

    @overload
    def explain(
        self,
        frame: FrameSource,
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        region: RegionChoice | None = None,
        detection: int | None = None,
        box: Box | None = None,
        instance: int | None = None,
        character: int | None = None,
        colour: Colour = "rgb",
        progress: Callable[[int, int], None] | None = None,
        preset: str | None = None,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int | None = None,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
        rcap: bool | None = None,
        cover: bool | None = None,
        **unknown: NoReturn,
    ) -> Explanation: ...

    @overload
    def explain(
        self,
        frame: list[Any] | tuple[Any, ...] | Iterator[Any],
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        region: RegionChoice | None = None,
        detection: int | None = None,
        box: Box | None = None,
        instance: int | None = None,
        character: int | None = None,
        colour: Colour = "rgb",
        progress: Callable[[int, int], None] | None = None,
        preset: str | None = None,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int | None = None,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
        rcap: bool | None = None,
        cover: bool | None = None,
        **unknown: NoReturn,
    ) -> Iterator[Explanation]: ...

    def explain(
        self,
        frame: FrameSource | list[Any] | tuple[Any, ...] | Iterator[Any],
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        region: RegionChoice | None = None,
        detection: int | None = None,
        box: Box | None = None,
        instance: int | None = None,
        character: int | None = None,
        colour: Colour = "rgb",
        progress: Callable[[int, int], None] | None = None,
        preset: str | None = None,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int | None = None,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
        rcap: bool | None = None,
        cover: bool | None = None,
        **unknown: NoReturn,
    ) -> Explanation | Iterator[Explanation]:
        """Return the explanation of ``frame``: the saliency map with its places, stability and cautions.

        ``frame`` is a path, the bytes of an image file, an array [H, W] or [H, W, 3], a PIL image, a
        tensor, or what ``load_frame`` returned; ``colour="bgr"`` says that arrays have OpenCV's order. For a
        model whose channels are no colours, arrays are [H, W, C] and files have C pages or bands. Of a list,
        a tuple or an iterator of frames the explanations are yielded in the same order; the first error ends
        them.

        ``target`` is a class name or an index, by default what the model predicts. ``against`` is the other
        class of a difference: "why this and not that". ``region`` is where a spatial output is explained: a
        box (left, top, right, bottom) in frame pixels, the path of a mask image, or a mask. ``detection`` is
        the number of a detection, from 1, in the order in which ``predict`` lists them; ``box`` is a box in
        frame pixels, for the detection that overlaps it most. ``instance`` is the number of a connected area
        of a segmenter or of an anomaly map, from 1, the largest first; ``character`` the number of a
        character of a text line, from 1. ``progress`` is called with (samples done, samples).

        Settings; None keeps the bundle's or the usual value:

        - ``preset``: ``operator``, the default, for a place to walk up to from few samples; ``paper``, the
          paper's program as it is. It says what the other settings are; a method, a guide or a percentile
          that is given means ``paper``.
        - ``method``: one of ``METHODS``; by default the preset's.
        - ``guide``: ``paper``, or another guide of the bundle.
        - ``samples``: number of perturbed copies of the model input; the most, where one of the next two
          stops earlier.
        - ``budget_ms``: milliseconds within which to be done, with the samples that fit, at least 4.
        - ``until_stable``: stability, 0..1, at which sampling stops.
        - ``seed``: seed of the noise; 0 by default.
        - ``percentile``: percentile of the guide, 0..1.
        - ``noise_std``: standard deviation of the noise relative to the model input's range.
        - ``perturb``: what the samples are changed by beside noise, such as ``shift=2,angle=2``, for a
          bundle that was exported with perturbations.
        - ``baseline``: pixel value, 0..1, where integrated gradients begin; 0 by default.
        - ``rcap``: whether RCAP is measured, which takes a few predictions; by default under ``paper``.
        - ``cover``: whether the places are covered to see what the model then says; by default under
          ``operator``.
        - ``chunk``: samples per run of the graph; by default what is fast here and fits in memory.

        Without ``budget_ms`` the same bundle, frame, settings and device give the same map, bit for bit.
        Raises FrameError, TargetError, SettingError, ModelError (also when the model gives NaN) and
        DeviceError.
        """
        settings = self._settings(
            preset=preset,
            method=method,
            guide=guide,
            samples=samples,
            seed=seed,
            percentile=percentile,
            noise_std=noise_std,
            chunk=chunk,
            budget_ms=budget_ms,
            until_stable=until_stable,
            perturb=perturb,
            baseline=baseline,
            rcap=rcap,
            cover=cover,
            **unknown,
        )
        asked = Asked(Wanted(target, against, region, detection, box, instance, character), colour, settings)

        def one(source: Any) -> Explanation:
            return self._explain(source, asked, progress)

        if isinstance(frame, (list, tuple)):
            return map(one, frame)
        if isinstance(frame, Iterator) and not isinstance(frame, IOBase):  # a file iterates over its lines
            return map(one, frame)
        return one(frame)

    def explain_each(
        self,
        frame: FrameSource,
        *,
        colour: Colour = "rgb",
        progress: Callable[[int, int], None] | None = None,
        preset: str | None = None,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int | None = None,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
        rcap: bool | None = None,
        cover: bool | None = None,
        **unknown: NoReturn,
    ) -> Iterator[Explanation]:
        """Yield an explanation for each thing that the model says is in ``frame``.

        That is each detection, each label that is present, or each class with an area, the surest or largest
        first; of a model that gives one answer, this answer. The frame is read, uploaded and predicted once,
        and all explanations share the noise: each is the one that ``explain`` returns for that thing, and so
        are the settings and errors; ``budget_ms`` is for each. Nothing is yielded where a detector finds
        nothing.
        """
        settings = self._settings(
            preset=preset,
            method=method,
            guide=guide,
            samples=samples,
            seed=seed,
            percentile=percentile,
            noise_std=noise_std,
            chunk=chunk,
            budget_ms=budget_ms,
            until_stable=until_stable,
            perturb=perturb,
            baseline=baseline,
            rcap=rcap,
            cover=cover,
            **unknown,
        )
        return self._explain_each(frame, Asked(Wanted(), colour, settings), progress)

    def refine(
        self,
        frame: FrameSource,
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        region: RegionChoice | None = None,
        detection: int | None = None,
        box: Box | None = None,
        instance: int | None = None,
        character: int | None = None,
        colour: Colour = "rgb",
        measure_each: bool = True,
        preset: str | None = None,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int | None = None,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
        rcap: bool | None = None,
        cover: bool | None = None,
        **unknown: NoReturn,
    ) -> Iterator[Explanation]:
        """Yield better and better explanations of ``frame``: of 4 samples, 8, 16, … to ``samples``.

        The parameters are those of ``explain``; without ``measure_each`` RCAP and the covering test, which
        cost predictions, are left to the last explanation. The last explanation is what ``explain`` returns,
        up to rounding. Stop when you like; other calls may come in between. A method that does not average
        has one explanation only.
        """
        settings = self._settings(
            preset=preset,
            method=method,
            guide=guide,
            samples=samples,
            seed=seed,
            percentile=percentile,
            noise_std=noise_std,
            chunk=chunk,
            budget_ms=budget_ms,
            until_stable=until_stable,
            perturb=perturb,
            baseline=baseline,
            rcap=rcap,
            cover=cover,
            **unknown,
        )
        return self._refine(
            frame,
            Asked(Wanted(target, against, region, detection, box, instance, character), colour, settings),
            measure_each=measure_each,
        )

    def saliency(
        self,
        frame: FrameSource,
        cotangent: Array,
        *,
        colour: Colour = "rgb",
        progress: Callable[[int, int], None] | None = None,
        **settings: Any,
    ) -> Array:
        """Return the map ``[H, W]``, 0..1, of a target of your own: the score ⟨cotangent, scores⟩.

        ``cotangent [K…]`` are weights over the scores, for what no class, difference, detection or region
        names; ``explain`` has those. The other parameters are those of ``explain``. There is neither RCAP nor
        a covering test, and nothing is compared with good parts. Raises as ``explain``.
        """
        asked = Asked(Wanted(), colour, self._settings(**{**settings, "rcap": False, "cover": False}))
        with self._lock:
            return self._work.weighted_map(self._work.scene(frame, asked), cotangent, progress)

    def check_settings(self, **given: Any) -> Settings:
        """Return the settings that ``explain`` would have with the keywords ``given``, before any frame.

        Raises SettingError, also for what this bundle lacks: a guide, perturbations, class activation maps.
        """
        settings = self._settings(**given)
        if settings.method.map == "cam":
            self.graphs.check("cam", "", where="method")
        if settings.perturb:
            parse_perturbations(settings.perturb)
            self.graphs.check("accumulate", PERTURBED, where="perturb")
        return settings

    def _settings(self, **given: Any) -> Settings:
        """Return the checked settings. Raises SettingError, also for a guide that the bundle lacks."""
        settings = Settings.of(self._defaults, **given)
        guides = ["paper", *(name for name in self.manifest.variants("finalize") if name)]
        if settings.method.map == "guided" and settings.guide not in guides:
            near = difflib.get_close_matches(settings.guide, guides, n=1)
            raise SettingError(
                f"this bundle has no guide {settings.guide!r}",
                where="guide",
                hint=f"did you mean {near[0]}?" if near else None,
                choices=guides,
            )
        return settings

    def _explain(
        self, source: FrameSource, asked: Asked, progress: Callable[[int, int], None] | None = None
    ) -> Explanation:
        with self._lock:
            return self._work.explained(
                self._work.query(self._work.scene(source, asked), asked.wanted), progress
            )

    def _explain_each(
        self, source: FrameSource, asked: Asked, progress: Callable[[int, int], None] | None
    ) -> Iterator[Explanation]:
        with self._lock:
            scene = self._work.scene(source, asked)
        for wanted in self.reader.each(scene.outputs, scene.placement):
            with self._lock:
                explanation = self._work.explained(self._work.query(scene, wanted), progress)
            yield explanation
            scene = scene.asked_again()

    def _refine(self, source: FrameSource, asked: Asked, *, measure_each: bool) -> Iterator[Explanation]:
        if not asked.settings.method.splits:
            yield self._explain(source, asked)
            return
        with self._lock:
            query = self._work.query(self._work.scene(source, asked), asked.wanted)
            estimation = self._work.estimation(query, self._work.new_sampler())
        until = MIN_SAMPLES
        while True:
            with self._lock:
                estimation.grow(until)
                measured = measure_each or estimation.ended
                wanted = query if measured else query.without_measures()
                explanation = self._work.explanation(wanted, self._work.map(query, estimation))
            yield explanation
            if estimation.ended:
                return
            until *= 2
