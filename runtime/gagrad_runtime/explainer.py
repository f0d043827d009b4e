"""The explainer: a checked bundle on a device, ready to explain frames."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.bundle import Bundle, read_bundle
from gagrad_edge.errors import ModelError, OutOfMemoryError, SettingError
from gagrad_edge.noise import noise_chunks
from gagrad_runtime import caution
from gagrad_runtime.backend import open_backend
from gagrad_runtime.chunk import ChunkSize
from gagrad_runtime.explanation import Explanation, Provenance, Rcap
from gagrad_runtime.frame import load_frame
from gagrad_runtime.placement import prepare
from gagrad_runtime.rcap import confidence, probabilities, rcap
from gagrad_runtime.settings import Settings
from gagrad_runtime.target import cotangent, predicted_target, resolve_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.explanation import Target
    from gagrad_runtime.target import Choice

    Array = NDArray[np.float32]

_STATE = ("count", "abs_sum", "mean", "m2")
_ROLES = ("predict", "accumulate", "finalize", "recover")
_log = logging.getLogger(__name__)


class Explainer:
    """Explains frames with one bundle on one device.

    Use it as a context manager, for as many frames as you like; threads may share one, and take turns.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.manifest: Manifest = bundle.manifest
        self.backend = backend
        self._sha256 = bundle.sha256
        self._runners = {
            role: backend.open(role, bundle.graph(role, backend.target))  # type: ignore[arg-type]
            for role in _ROLES
        }
        self._chunk = ChunkSize(backend, bundle.sha256, self.manifest.method.chunk)
        self._largest_chunk: int | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Explainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine's memory. Explaining afterwards is an error."""
        self._runners = {}

    def explain(
        self,
        frame: str | Path | NDArray[Any],
        target: Choice | None = None,
        *,
        against: Choice | None = None,
        samples: int | None = None,
        seed: int = 0,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Explanation:
        """Return the Guided AbsoluteGrad map of ``frame`` with its RCAP.

        ``frame`` is a path, or an array [H, W] or [H, W, 3] (RGB), uint8 or uint16. ``target`` is a class
        name or an index, by default what the model predicts; with ``against``, "why this and not that".
        ``chunk`` copies are computed at a time, by default what is fast on this device and fits in memory
        (``gagrad_runtime.chunk``). The other settings default to the bundle's. ``progress`` is called
        with (samples done, samples).

        The same bundle, frame, settings and device give the same map, bit for bit. Raises FrameError,
        TargetError, SettingError, ModelError (also when the model gives NaN) and DeviceError.
        """
        settings = Settings.of(
            self.manifest.method,
            seed,
            chunk,
            samples=samples,
            percentile=percentile,
            noise_std=noise_std,
        )
        if not self._runners:
            raise SettingError("this explainer has been closed", hint="load the bundle again")
        clock = _Clock()
        loaded = load_frame(frame)
        image, placement = prepare(loaded, self.manifest.input)
        clock.lap("decode")
        with self._lock:
            scores = self._predict(image)[0]
            chosen = resolve_target(target, against, scores, self.manifest.output)
            clock.lap("predict")
            device_image = self.backend.upload(image)
            weights = cotangent(chosen, scores.shape)
            size = settings.chunk or self._choose(device_image, weights, settings)
            clock.lap("trial")
            state, chunk = self._within_memory(device_image, weights, settings, size, progress)
            saliency, dead = self._finalize(state, settings)
            clock.lap("explain")
            score = self._rcap(device_image, saliency, scores, chosen)
            clock.lap("rcap")
        chances = probabilities(scores[None], self.manifest.output.activation)
        probability = None if chances is None else float(chances[0][chosen.index])
        return Explanation(
            saliency=saliency,
            scores=scores,
            probabilities=None if chances is None else chances[0],
            activation=self.manifest.output.activation,
            target=chosen,
            predicted=predicted_target(scores, self.manifest.output),
            rcap=score,
            cautions=(
                *caution.constant_image(loaded.pixels),
                *caution.constant_map(saliency, dead=dead),
                *caution.low_rcap(score, probability),
            ),
            provenance=Provenance(
                bundle=self.manifest.name,
                bundle_sha256=self._sha256,
                backend=self.backend.description,
                samples=settings.samples,
                seed=settings.seed,
                percentile=settings.percentile,
                noise_std=settings.noise_std,
                chunk=chunk,
                straight_through=self.manifest.model.straight_through,
            ),
            frame=loaded,
            placement=placement,
            classes=tuple(self.manifest.output.classes),
            seconds=clock.seconds,
        )

    def _predict(self, images: Array) -> Array:
        """Return ``scores [N, K…]`` of ``images [N, C, H, W]``."""
        outputs = self._runners["predict"].run({"image": self.backend.upload(images)})
        return _finite(self.backend.download(outputs["scores"]), "scores")

    def _choose(self, image: Tensor, weights: Array, settings: Settings) -> int:
        """Return this device's chunk size; the first time there, after a trial whose results are dropped."""

        def trial(copies: int) -> None:
            self._accumulate(image, weights, replace(settings, samples=copies), copies, None)

        return self._chunk.choose(trial)

    def _within_memory(
        self,
        image: Tensor,
        weights: Array,
        settings: Settings,
        chunk: int,
        progress: Callable[[int, int], None] | None,
    ) -> tuple[dict[str, Tensor], int]:
        """Run all samples; start anew with half the chunk when memory runs out, and keep to that afterwards.

        Anew, so that the map is the one that ``--chunk`` with the returned size gives.
        """
        chunk = min(chunk, self._largest_chunk or chunk)
        try:
            return self._accumulate(image, weights, settings, chunk, progress), chunk
        except OutOfMemoryError as error:
            if chunk == 1:
                raise
            self._largest_chunk = (min(chunk, settings.samples) + 1) // 2
            _log.warning("%s; going on with %d copies at a time", error.what, self._largest_chunk)
        return self._within_memory(image, weights, settings, self._largest_chunk, progress)

    def _accumulate(
        self,
        image: Tensor,
        weights: Array,
        settings: Settings,
        chunk: int,
        progress: Callable[[int, int], None] | None,
    ) -> dict[str, Tensor]:
        """Run all samples, chunk by chunk; return the final state. Memory does not grow with samples."""
        shape = self.manifest.input.shape
        fixed = {
            "image": image,
            "noise_std": self._scalar(settings.noise_std),
            "cotangent": self.backend.upload(weights),
        }
        # Two sets of state tensors take turns: a run reads one and writes the other.
        state, spare = (self._empty_state(shape) for _ in range(2))
        done = 0
        for noise in noise_chunks(settings.seed, settings.samples, chunk, shape):
            outputs = self._runners["accumulate"].run(
                {**fixed, "noise": self.backend.upload(noise), **state},
                {f"{name}_out": spare[name] for name in _STATE},
            )
            _finite(self.backend.download(outputs["scores"]), "scores of a perturbed copy")
            state, spare = spare, state
            done += len(noise)
            if progress is not None:
                progress(done, settings.samples)
        return state

    def _finalize(self, state: dict[str, Tensor], settings: Settings) -> tuple[Array, bool]:
        """Return the map, and whether no gradient arrived at all."""
        inputs = {**state, "percentile": self._scalar(settings.percentile)}
        output = self._runners["finalize"].run(inputs)["saliency"]
        saliency = _finite(self.backend.download(output), "gradients")
        flat = bool(saliency.max() == saliency.min())
        # The sum is looked at only in the rare case that needs it: it is as large as the image.
        return saliency, flat and not self.backend.download(state["abs_sum"]).any()

    def _rcap(self, image: Tensor, saliency: Array, scores: Array, target: Target) -> Rcap:
        outputs = self._runners["recover"].run({"image": image, "saliency": self.backend.upload(saliency)})
        recovered = self._runners["predict"].run({"image": outputs["recovered"]})["scores"]
        conf = confidence(
            _finite(self.backend.download(recovered), "scores of a recovered image"),
            scores,
            target.index,
            self.manifest.output.activation,
        )
        return rcap(self.backend.download(outputs["ratio"]), conf, self.manifest.method)

    def _empty_state(self, shape: tuple[int, int, int]) -> dict[str, Tensor]:
        return {name: self.backend.zeros(() if name == "count" else shape) for name in _STATE}

    def _scalar(self, value: float) -> Tensor:
        return self.backend.upload(np.array(value, np.float32))


def load(bundle: str | Path, *, device: str = "auto", threads: int | None = None) -> Explainer:
    """Return the explainer of a bundle; see ``gagrad_runtime.load``."""
    checked = read_bundle(bundle)
    return Explainer(checked, open_backend(device, threads=threads))


def _finite(values: Array, what: str) -> Array:
    """Return ``values`` if every number in them is finite: no map is drawn from NaN."""
    if not np.isfinite(values).all():
        raise ModelError(
            f"the model's {what} are not finite numbers (NaN or infinity), so no map was drawn",
            hint="look at the image; if it is ordinary, the model's weights or its export are at fault",
        )
    return values


class _Clock:
    """Wall time per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
