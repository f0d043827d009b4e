"""From the running statistics to the saliency map of each method, and the agreement of two halves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_edge.abi import ABS_SUM, CAMS, FINER_CAMS, MAPS, MULTIPLIER, PERCENTILE, RANGE, SALIENCY
from gagrad_edge.method.class_activation import CAMS as CAM_METHODS
from gagrad_edge.method.reference import STATE_MAPS, finalize, normalise, state_maps
from gagrad_edge.statistics import rank_correlation
from gagrad_runtime.sampling.finite import finite
from gagrad_runtime.sampling.stability import at_pixels, pixel_subset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.method.product import Witnesses
    from gagrad_edge.method.reference import State
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.backend.graphs import Graphs
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.sampling.statistics import Sampler

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Saliency:
    """A saliency map as it came from the device."""

    values: Array
    """[H, W] in 0..1."""
    raw: tuple[float, float]
    """Values of the map's 0 and 1 before it was scaled, per sample, so that they do not grow with T."""
    dead: bool
    """Whether every gradient was zero."""


class StateMaps:
    """Makes the map of one method from the running statistics, and compares the maps of their halves."""

    halved = 4
    """Fewest samples whose halves have maps: of one sample there is no variance."""
    witnesses: Witnesses | None = None
    """What points at places beside the map. None before a map was made, and for a method without."""
    notes: tuple[str, ...] = ()
    """What was done otherwise than the method says, in sentences."""
    apart: float | None = None
    """How far the gradient alone is highest from where the map is, as a share of the side; None where the map
    is the gradient's, or good parts are in it."""

    def __init__(self, backend: Backend, graphs: Graphs, settings: Settings, multiplier: Array) -> None:
        self._backend, self._graphs, self._settings = backend, graphs, settings
        self._multiplier = multiplier
        """[C, H, W], as in ``reference.state_maps``."""
        self._uploaded: Tensor | None = None

    def saliency(self, state: Mapping[str, Tensor]) -> Saliency:
        """Return the map of ``state``, which is on the device."""
        backend, settings = self._backend, self._settings
        if settings.method.map == "guided":
            variant = "" if settings.guide == "paper" else settings.guide
            percentile = backend.upload(np.array(settings.percentile, np.float32))
            outputs = self._graphs.runner("finalize", variant).run({**state, PERCENTILE: percentile})
            values = finite(backend.download(outputs[SALIENCY]), "gradients")
            low, high = map(float, backend.download(outputs[RANGE]))
        else:
            total = self.state_map(state, settings.method.map)
            values, low, high = normalise(total), float(total.min()), float(total.max())
        # Σ|g| is as large as the image, so it is downloaded only for a constant map.
        flat = bool(values.max() == values.min())
        return Saliency(values, (low, high), flat and not backend.download(state[ABS_SUM]).any())

    def state_map(self, state: Mapping[str, Tensor], name: str) -> Array:
        """Return the map ``name`` of ``reference.STATE_MAPS``, [H, W], not scaled."""
        if self._uploaded is None:
            self._uploaded = self._backend.upload(self._multiplier)
        outputs = self._graphs.runner("maps").run({**state, MULTIPLIER: self._uploaded})
        maps = finite(self._backend.download(outputs[MAPS]), "gradients")
        chosen: Array = maps[STATE_MAPS.index(name)]
        return chosen

    def agreement(self, sampler: Sampler) -> float | None:
        """Return the rank correlation of the maps of two halves, on a subset of the pixels.

        None when flat, and for a method whose halves have no such map.

        In numpy where the value of a pixel depends on no other: for a few thousand pixels that is faster than
        two more runs of a graph on most devices.
        """
        settings = self._settings
        if not settings.method.splits:
            return None
        pixels = pixel_subset(*self._multiplier.shape[1:])
        if settings.method.map == "guided" and settings.guide != "paper":
            maps = (self.saliency(half).values for half in sampler.half_tensors)
            first, second = (values.ravel()[pixels] for values in maps)
        else:
            first, second = (_at(half, settings, self._multiplier, pixels) for half in sampler.halves())
        return rank_correlation(first, second)

    def place_stability(self, saliency: Saliency) -> float | None:  # noqa: ARG002 - for a method with places
        """Return the share of the halves whose highest place is that of ``saliency``; None if unknown."""
        return None


def class_activations(
    backend: Backend, graphs: Graphs, names: Sequence[str], inputs: Mapping[str, Tensor]
) -> list[Saliency]:
    """Return the class activation maps of the methods ``names``, from one run.

    ``inputs`` are those of ``cam``: the cotangent, and the image or its activations. Where the
    bundle has a finer layer, its maps of the same methods follow.
    """
    outputs = graphs.runner("cam").run(inputs)
    found: list[Saliency] = []
    for output in (CAMS, FINER_CAMS):
        if output in outputs:
            cams = finite(backend.download(outputs[output]), "gradients")
            found += [_class_activation(cams[CAM_METHODS.index(name), 0], graphs.size) for name in names]
    return found


def _class_activation(cam: Array, size: tuple[int, int]) -> Saliency:
    return Saliency(class_activation_map(cam, size), (float(cam.min()), float(cam.max())), not cam.any())


def _at(state: State, settings: Settings, multiplier: Array, pixels: NDArray[np.intp]) -> Array:
    if settings.method.map == "guided":
        return finalize(at_pixels(state, pixels), settings.percentile)
    few = multiplier.reshape(len(multiplier), 1, -1)[:, :, pixels]
    maps = state_maps(at_pixels(state, pixels), few)
    chosen: Array = maps[STATE_MAPS.index(settings.method.map)]
    return chosen


def class_activation_map(cam: Array, size: tuple[int, int]) -> Array:
    """Return the saliency map ``[H, W]`` in 0..1 for ``cam [h, w]``; ``size`` is (H, W).

    In pytorch-grad-cam's order: negative values become 0, then min-max, then bilinear interpolation (OpenCV),
    then min-max again, as interpolation may miss the extremes. There is no ε in the quotients, so a map of
    small gradients keeps its contrast; a constant map becomes all zeros.
    """
    scaled = _min_max(np.maximum(np.asarray(cam, np.float32), 0))
    resized = cv2.resize(scaled, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return _min_max(np.asarray(resized, np.float32))


def _min_max(values: Array) -> Array:
    low = values.min()
    span = values.max() - low
    scaled: Array = (values - low) / span if span > 0 else np.zeros_like(values)
    return scaled
