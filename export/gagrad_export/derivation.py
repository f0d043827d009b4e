"""Which tensors of a bundle need not be stored, because they only move or round the numbers of another.

The gradient of a convolution has the convolution's weights with inputs and outputs swapped and the window
reversed (``lower/convolution.py``), or every second one of them (``lower/strided_convolution.py``); that of a
matrix product has the transposed matrix; float16 graphs have rounded weights. Such tensors are found here by
comparing numbers, not by what made them. So a lowering needs to know nothing of it: weights that it makes in
another way are stored.
"""

from __future__ import annotations

import hashlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.bundle.weights import derive, derived_view
from gagrad_edge.manifest import Derivation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile

    Tensors = dict[str, list[tuple[np.dtype[np.generic], tuple[int, ...]]]]

_STRIDE = 2
"""Largest stride whose phases are looked for: larger ones are not lowered to phases."""
_SAMPLE = 64
"""Numbers that are compared before all are."""


def stored_and_derived(
    graphs: Iterable[GraphFile],
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Derivation]]:
    """Return the tensors of ``graphs`` that have to be stored, and how the others are derived, by hash.

    A tensor is derived from one of an earlier graph, or from one that comes before it in its own.
    """
    kinds: Tensors = {}
    content: dict[str, NDArray[np.uint8]] = {}
    for graph in graphs:
        for one in graph.references:
            forms = kinds.setdefault(one.sha256, [])
            if (one.dtype, one.shape) not in forms:
                forms.append((one.dtype, one.shape))
            content.setdefault(one.sha256, graph.weights[one.sha256])
    stored: dict[str, NDArray[np.uint8]] = {}
    derived: dict[str, Derivation] = {}
    sources: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
    for sha256, forms in kinds.items():
        found = next(_derivations(content, sha256, forms, sources), None)
        if found is not None:
            derived[sha256] = found
            continue
        stored[sha256] = content[sha256]
        for dtype, shape in forms:
            if dtype == np.float32:
                sources.setdefault(_first_axes(shape), []).append((sha256, shape))
    return stored, derived


def _first_axes(shape: Sequence[int]) -> int:
    """Return how many windows, or numbers, a tensor has: as many as what is derived from it."""
    return int(np.prod(shape[:2]))


def _derivations(
    content: Mapping[str, NDArray[np.uint8]],
    sha256: str,
    forms: Sequence[tuple[np.dtype[Any], tuple[int, ...]]],
    sources: Mapping[int, Sequence[tuple[str, tuple[int, ...]]]],
) -> Iterator[Derivation]:
    """Yield each derivation that makes the tensor ``sha256``."""
    for dtype, shape in forms:
        if dtype not in (np.float32, np.float16) or len(shape) < 2:
            continue
        wanted = content[sha256].view(dtype)
        sample, kind = wanted[:_SAMPLE], "float16" if dtype == np.float16 else "float32"
        for source, view in sources.get(_first_axes(shape), ()):
            numbers = content[source].view(np.float32)
            for candidate in _candidates(source, view, shape, kind):
                if _begins_with(numbers, candidate, sample) and _makes(numbers, candidate, sha256):
                    yield candidate


def _candidates(
    source: str, view: tuple[int, ...], shape: tuple[int, ...], dtype: Any
) -> Iterator[Derivation]:
    """Yield what could make a tensor of ``shape`` from weights ``view``: ``[M, C/g, K…] → [C, M/g, K′…]``."""
    rank = len(view)
    if len(shape) != rank:
        return
    if dtype == "float16" and shape == view:
        yield Derivation(source, [*view], [0] * rank, [1] * rank, [*range(rank)], dtype)
    (outputs, inputs, *kernel), (swapped, others, *window) = view, shape
    group = swapped // inputs
    if group < 1 or swapped != group * inputs or outputs != group * others:
        return
    steps = [[*_steps(have, want)] for have, want in zip(kernel, window, strict=True)]
    for each in product(*steps):
        yield Derivation(
            source,
            [group, others, inputs, *kernel],
            [0, 0, 0, *(begin for begin, _ in each)],
            [1, 1, 1, *(step for _, step in each)],
            [0, 2, 1, *range(3, rank + 1)],
            dtype,
        )


def _steps(have: int, want: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, step) of an axis that is read backwards, or every second one of it, or as it is."""
    for stride in range(1, _STRIDE + 1):
        for first in range(stride):
            indices = range(first, have, stride)
            if len(indices) == want:
                yield indices[-1], -stride
    if have == want > 1:
        yield 0, 1


def _begins_with(numbers: NDArray[np.float32], candidate: Derivation, sample: NDArray[Any]) -> bool:
    """Tell whether the first numbers that ``candidate`` makes are ``sample``, without making the others."""
    first = derived_view(numbers, candidate).flat[: sample.size]
    with np.errstate(over="ignore"):
        return first.astype(candidate.dtype).tobytes() == sample.tobytes()


def _makes(numbers: NDArray[np.float32], candidate: Derivation, sha256: str) -> bool:
    return hashlib.sha256(derive(numbers, candidate).data).hexdigest() == sha256
