"""The operator's map: the pooled magnitude of the gradient times the class activation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gagrad_edge.abi import MEAN
from gagrad_edge.method.product import NEAR, compared, detail, effect, magnitude, product, side, witnesses
from gagrad_edge.statistics import rank_correlation
from gagrad_runtime.sampling.saliency import Saliency, StateMaps, class_activations
from gagrad_runtime.sampling.stability import pixel_subset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.backend.graphs import Graphs
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.sampling.statistics import Sampler

    Array = NDArray[np.float32]

_ACTIVATIONS = ("grad-cam", "layer-cam")
"""Methods of C and L."""
WITHOUT_GRAPH = "the bundle has no graph for class activation, so the map is the gradient's alone"
WITHOUT_EVIDENCE = "no feature speaks for the result, so the map is the gradient's alone"


class GoodEvidence(NamedTuple):
    """What good parts say of one frame and target."""

    difference: Array
    """[H, W], d of ``gagrad_edge.method.product``."""
    gradient: Array | None
    """[H, W], the magnitude of the target's gradient at good parts; None where it is not known."""


class ProductMaps(StateMaps):
    """Makes the operator's map, ``gagrad_edge.method.product``, of one question.

    ``image [C, H, W]`` is the model's, and ``seen`` are its rows and columns where the frame is; ``inputs``
    are those of ``cam``, which runs once; ``good`` is there where good parts are known at each pixel.
    """

    halved = 2
    """There is no variance in this map, so a half may be one sample."""

    def __init__(
        self,
        backend: Backend,
        graphs: Graphs,
        settings: Settings,
        image: Array,
        inputs: Mapping[str, Tensor],
        seen: tuple[slice, slice],
        good: GoodEvidence | None = None,
    ) -> None:
        super().__init__(backend, graphs, settings, np.ones_like(image))
        self._detail = detail(image, seen)
        self._good = good
        self._seen = seen
        self._halves: list[Array] = []
        """The products of the halves when the agreement was last measured, on the frame."""
        self._activations: list[Array] = []
        self._finer: list[Array] = []
        if not graphs.has("cam"):
            self.notes = (WITHOUT_GRAPH,)
            return
        maps = [one.values for one in class_activations(backend, graphs, _ACTIVATIONS, inputs)]
        number = len(_ACTIVATIONS)
        self._activations, self._finer = maps[:number], maps[number:]
        if not any(one[seen].max() > 0 for one in self._activations):
            self.notes = (WITHOUT_EVIDENCE,)

    def saliency(self, state: Mapping[str, Tensor]) -> Saliency:
        """Return the map of ``state``; its 0 is a product of 0, and its 1 the highest on the frame."""
        squared = self.state_map(state, "squared")
        reacting = magnitude(squared, self._seen) if self._good is None else None
        total = self._product(squared, reacting)
        if self._activations:
            finer = self._finer if self._good is None else []  # good parts know of what is absent
            found = witnesses(squared, self._activations[0], finer, self._seen)
            if self._good is None:
                mean = self._backend.download(state[MEAN])
                found = found._replace(effect=effect(total, mean, self._detail, self._seen))
            self.witnesses = found
        highest = float(total.max())
        values = total / np.float32(highest) if highest > 0 else total
        if self._activations and reacting is not None and highest > 0:
            self.apart = math.dist(peak(reacting), peak(total[self._seen])) / side(reacting.shape)
        return Saliency(values, (0.0, highest), not squared.any())

    def agreement(self, sampler: Sampler) -> float | None:
        """Return the rank correlation of the products of two halves, on a subset of the frame's pixels."""
        halves = (self.state_map(half, "squared") for half in sampler.half_tensors)
        self._halves = [self._product(squared)[self._seen] for squared in halves]
        pixels = pixel_subset(*self._halves[0].shape)
        first, second = (half.ravel()[pixels] for half in self._halves)
        return rank_correlation(first, second)

    def _product(self, squared: Array, reacting: Array | None = None) -> Array:
        """Return the map, [H, W], not scaled, of Σ_c E[g²] ``[H, W]``; ``reacting`` is as in ``product``."""
        if self._good is None:
            return product(squared, self._activations, self._seen, reacting)
        return compared(squared, self._activations, self._seen, *self._good)

    def place_stability(self, saliency: Saliency) -> float | None:
        """Return the share of the halves whose highest place is that of ``saliency``: 0, 0.5 or 1.

        None before the halves were compared, and for a flat map.
        """
        on_frame = saliency.values[self._seen]
        if not self._halves or on_frame.max() == on_frame.min():
            return None
        whole, near = peak(on_frame), NEAR * side(on_frame.shape)
        alike = [math.dist(peak(half), whole) <= near for half in self._halves]
        return sum(alike) / len(alike)


def peak(values: Array) -> tuple[int, int]:
    """Return (row, column) of the highest of ``values [h, w]``."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    return row, column
