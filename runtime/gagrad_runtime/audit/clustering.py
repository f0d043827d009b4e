"""Clusters of explanations by where the model looks, and the place that each cluster looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from msgspec import Meta

from gagrad_edge.errors import InputError
from gagrad_runtime.audit.packages import package
from gagrad_runtime.audit.table import GRID
from gagrad_runtime.language import marked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Labels = NDArray[np.int64]
    Mask = NDArray[np.bool_]

NONE = -1
"""Label of an explanation that is like no others."""
LEAST = 30
"""Explanations below which there is nothing to cluster."""
MANY, CENTRES = 20_000, 2000
"""Explanations above which they are first brought to so many centres."""
_COMPONENTS, _FEWEST, _FALLBACK = 20, 3, 8
"""Two clusters are never enough: a planted sticker was missed so. Then the maps are cut into eight."""
_SMALLEST, _SHARE = 5, 0.01
"""Members of the smallest cluster, and its share of all."""
_STRAY = 0.001
"""Share of the maps that look at a cell up to which the cell counts as not looked at."""
_HEIGHT, _AREA, _RECTANGLES = 0.25, 64, 6
"""A cluster's place: cells of a quarter of the highest, 64 of the 256 at most, as six rectangles at most. At
half the highest, half a sticker was left in sight: trained networks point beside its middle."""


_Edge = Annotated[int, Meta(ge=0, le=GRID)]


class Rectangle(NamedTuple):
    """Cells of the grid: first row and column, and one past the last."""

    top: _Edge
    left: _Edge
    bottom: _Edge
    right: _Edge


def clustered(shares: Array) -> Labels:
    """Return the cluster of each map of ``shares [N, 16, 16]``, the largest first; ``NONE`` of others.

    Square roots, so that the distance of two maps is that of distributions (Hellinger); the first 20
    principal components; HDBSCAN, which needs no number of clusters. Raises InputError for fewer than
    ``LEAST`` maps.
    """
    if len(shares) < LEAST:
        raise InputError(
            f"{len(shares)} images are explained, and clusters need {LEAST}",
            where="audit",
            hint="audit more images, or explain more of them with a smaller `one_in`",
        )
    roots = np.sqrt(shares.reshape(len(shares), -1))
    components = min(_COMPONENTS, len(roots) - 1)
    points = package("sklearn.decomposition").PCA(components, random_state=0).fit_transform(roots)
    cluster = package("sklearn.cluster")
    if len(points) > MANY:
        means = cluster.MiniBatchKMeans(CENTRES, random_state=0, n_init=1).fit(points)
        labels = _of_points(means.cluster_centers_, _SMALLEST)[means.labels_]
    else:
        labels = _of_points(points, max(_SMALLEST, round(_SHARE * len(points))))
    return _by_size(labels)


def _of_points(points: Array, smallest: int) -> Labels:
    cluster = package("sklearn.cluster")
    labels: Labels = (
        cluster.HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(points).astype(np.int64)
    )
    if labels.max() + 1 >= _FEWEST:
        return labels
    cut: Labels = cluster.KMeans(_FALLBACK, random_state=0, n_init=4).fit_predict(points).astype(np.int64)
    return cut


def _by_size(labels: Labels) -> Labels:
    """Return ``labels`` with the numbers of the clusters in the order of their sizes."""
    counts = np.bincount(labels[labels >= 0])
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return np.where(labels >= 0, rank[labels], NONE)


def place_of(mean: Array) -> Mask:
    """Return the cells ``[16, 16]`` that a cluster looks at, by the mean ``[16, 16]`` of its maps."""
    limit = max(_HEIGHT * float(mean.max()), float(np.partition(mean.ravel(), -_AREA)[-_AREA]))
    return mean >= limit


def area(place: Mask, shares: Array) -> float:
    """Return the share of ``place``, with the cells beside it, in all that ``shares [N, 16, 16]`` look at.

    A map looks at the cells of a quarter of its highest. Cells beside the place count, as a defect there
    reaches it.
    """
    looks = shares >= _HEIGHT * shares.max(axis=(1, 2), keepdims=True)
    counts = looks.sum(axis=0)
    looked = counts > len(shares) * _STRAY
    wide = np.pad(place, 1)
    reach = np.zeros_like(place)
    for down in range(3):
        for across in range(3):
            reach |= wide[down : down + GRID, across : across + GRID]
    return float((reach & looked).sum() / max(int(looked.sum()), 1))


def rectangles(mask: Mask) -> list[Rectangle]:
    """Return rectangles that cover ``mask [16, 16]``, the largest first: a border becomes four strips.

    Cells that six rectangles leave are left out.
    """
    left = mask.copy()
    found: list[Rectangle] = []
    while left.any() and len(found) < _RECTANGLES:
        best = max(_within(left), key=_area)
        left[best.top : best.bottom, best.left : best.right] = False
        found.append(best)
    return found


def _within(mask: Mask) -> list[Rectangle]:
    """Return the widest rectangle of ``mask`` for each first and last row and each first column."""
    found: list[Rectangle] = []
    for top in range(GRID):
        full = np.ones(GRID, bool)
        for bottom in range(top, GRID):
            full &= mask[bottom]
            edges = np.flatnonzero(np.diff(np.r_[False, full, False].astype(np.int8)))
            found += [
                Rectangle(top, int(begin), bottom + 1, int(end))
                for begin, end in zip(edges[::2], edges[1::2], strict=True)
            ]
    return found


def _area(one: Rectangle) -> int:
    return (one.bottom - one.top) * (one.right - one.left)


def elsewhere(mean: Array, places: list[Rectangle]) -> list[Rectangle]:
    """Return as many rectangles of the same sizes where the mean map is lowest, off the ``places``."""
    taken = np.zeros((GRID, GRID), bool)
    for one in places:
        taken[one.top : one.bottom, one.left : one.right] = True
    found: list[Rectangle] = []
    for one in places:
        tall, wide = one.bottom - one.top, one.right - one.left
        free = [
            Rectangle(top, left, top + tall, left + wide)
            for top in range(GRID - tall + 1)
            for left in range(GRID - wide + 1)
            if not taken[top : top + tall, left : left + wide].any()
        ]
        if free:
            best = min(free, key=lambda at: float(mean[at.top : at.bottom, at.left : at.right].sum()))
            taken[best.top : best.bottom, best.left : best.right] = True
            found.append(best)
    return found


BORDER = marked("the border")
WHERE = (
    (marked("the upper left"), marked("the upper middle"), marked("the upper right")),
    (marked("the left"), marked("the middle"), marked("the right")),
    (marked("the lower left"), marked("the lower middle"), marked("the lower right")),
)
"""Names of the nine parts of a frame, in English; a page translates them."""


def in_words(mask: Mask) -> str:
    """Return where ``mask [16, 16]`` lies, in English: one of ``WHERE``, or ``BORDER``."""
    rows, columns = np.nonzero(mask)
    if len(rows) and np.ptp(rows) == np.ptp(columns) == GRID - 1 and not mask[4:12, 4:12].any():
        return BORDER
    third = GRID / 3
    down, across = (min(int((one.mean() + 0.5) / third), 2) for one in (rows, columns))
    return WHERE[down][across]
