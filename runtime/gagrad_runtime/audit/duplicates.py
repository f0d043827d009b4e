"""Duplicates: images of the same pixels, and images whose perceptual hashes differ in a bit or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.audit.packages import package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

BITS = 2
"""Bits in which the hashes of near-duplicates differ, at most."""
_BANDS = ((0, 22), (22, 43), (43, 64))
"""Parts of a hash: of two that differ in two bits, at least one of three parts is the same."""
_CROWD = 500
"""Hashes with one part in common above which they are left out: parts of one design, and no duplicates."""


def groups(keys: NDArray[np.int64]) -> list[Rows]:
    """Return the indices of equal ``keys``, each group of two or more, the largest first."""
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(keys))
    several = ends - starts > 1
    found = [order[start:end] for start, end in zip(starts[several], ends[several], strict=True)]
    return sorted(found, key=lambda one: (-len(one), int(one[0])))


def near(hashes: Hashes) -> list[Rows]:
    """Return the indices of ``hashes`` that hang together by differences of up to ``BITS``, as ``groups``."""
    distinct, inverse = np.unique(hashes, return_inverse=True)
    pairs = [pair for band in _BANDS for pair in _pairs(distinct, *band)]
    first, second = (
        np.concatenate([pair[side] for pair in pairs] or [np.zeros(0, np.int64)]) for side in (0, 1)
    )
    graph = package("scipy.sparse").coo_array(
        (np.ones(len(first), bool), (first, second)), shape=(len(distinct), len(distinct))
    )
    _, label = package("scipy.sparse.csgraph").connected_components(graph, directed=False)
    return groups(np.asarray(label, np.int64)[inverse])


def _pairs(hashes: Hashes, low: int, high: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs of indices of ``hashes`` that agree in the bits from ``low`` to ``high`` and are near."""
    part = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
    for members in groups(part.astype(np.int64)):
        if len(members) > _CROWD:
            continue
        first, second = np.triu_indices(len(members), 1)
        near = alike(hashes[members[first]] ^ hashes[members[second]])
        yield members[first[near]], members[second[near]]


def alike(values: Hashes) -> NDArray[np.bool_]:
    """Return which of ``values``, differences of two hashes, have ``BITS`` bits set or fewer."""
    left = values
    for _ in range(BITS):
        left = left & (left - np.uint64(1))  # takes away the lowest bit that is set
    few: NDArray[np.bool_] = left == 0
    return few
