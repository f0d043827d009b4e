"""Layout: whether good parts have their features in the same places, and how each part lies.

Nothing tells beforehand whether the parts of a line have a common layout: a casting has, a sheet of fabric
has not. So each part is registered twice, to the mean of one half of the others and to the mean of the other
half. Where there is a layout, both say the same; where there is none, they differ by much of the reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.reference.motion import Motion
from gagrad_runtime.reference.registration import Freedom, Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

LEAST = 3
"""Fewest good parts among which a layout can be found: one, and two halves of the others."""
_CANDIDATES = 5
"""Parts that are tried as the first template."""
_ROUNDS = 2
EXACT = 0.015
"""Largest error of a motion that still helps, as a share of the longer side: 2 pixels of 128."""
_QUANTILE = 0.8
_MISFITS = 0.2
"""Largest share of the parts that need not fit."""
_FITS = 0.5
"""A part fits the layout from this share of the good parts' usual correlation on."""


@dataclass(frozen=True)
class Layout:
    """Where the features of good parts are, and how the parts lie that it was found from."""

    template: Template
    motions: tuple[Motion | None, ...]
    """Of each part; None for one that does not fit."""
    error: float
    """How exactly the parts' places are known, as a share of the longer side."""
    least: float
    """Smallest correlation with the template at which a part fits."""


def common_layout(parts: Sequence[Array]) -> tuple[Layout | None, float]:
    """Return the common layout of ``parts``, the structure of each; None where there is none.

    Also how exactly the parts' places were found at best, as a share of the longer side; infinite for fewer
    than ``LEAST`` parts.
    """
    best = float("inf")
    if len(parts) < LEAST:
        return None, best
    freedoms: tuple[Freedom, ...] = ("shift, turn and scale", "shift")
    for freedom in freedoms:
        motions = _motions(parts, freedom)
        if np.mean([motion.farthest for motion in motions]) > _MISFITS:
            continue
        errors = [_error(parts, motions, index, freedom) for index in range(len(parts))]
        error = float(np.quantile(errors, _QUANTILE))
        best = min(best, error)
        layout = _layout(parts, motions, error, freedom) if error <= EXACT else None
        if layout is not None:
            return layout, error
    return None, best


def _layout(parts: Sequence[Array], motions: list[Motion], error: float, freedom: Freedom) -> Layout | None:
    size = parts[0].shape[:2]
    moved = [motion.distance(Motion(), size) / max(size) for motion in motions]
    if float(np.sqrt(np.mean(np.square(moved)))) <= error:
        freedom, motions = "nothing", [Motion()] * len(parts)
    usual = [
        Template(_mean(parts, motions, without=index), freedom).correlation(part, motions[index])
        for index, part in enumerate(parts)
    ]
    least = _FITS * float(np.median(usual))
    fits = [found >= least and not motion.farthest for found, motion in zip(usual, motions, strict=True)]
    if np.mean(fits) < 1 - _MISFITS:
        return None
    fitting = [index for index, good in enumerate(fits) if good]
    template = Template(_mean([parts[k] for k in fitting], [motions[k] for k in fitting]), freedom)
    found = tuple(motion if good else None for motion, good in zip(motions, fits, strict=True))
    return Layout(template, found, error, least)


def _motions(parts: Sequence[Array], freedom: Freedom) -> list[Motion]:
    """Return how each part lies, relative to the one that the others resemble most."""
    found: list[tuple[float, list[Motion]]] = []
    step = max(len(parts) // _CANDIDATES, 1)
    for candidate in range(0, len(parts), step)[:_CANDIDATES]:
        template = Template(parts[candidate], freedom)
        results = [template.register(part) for part in parts]
        usual = float(np.median([correlation for _, correlation in results]))
        found.append((usual, [motion for motion, _ in results]))
    motions = max(found, key=lambda one: one[0])[1]
    for _ in range(_ROUNDS):
        motions = [
            Template(_mean(parts, motions, without=index), freedom).register(part, motions[index])[0]
            for index, part in enumerate(parts)
        ]
    return motions


def _error(parts: Sequence[Array], motions: list[Motion], index: int, freedom: Freedom) -> float:
    """Return half the distance of a part's places by both halves of the others, as a share of the side.

    Two estimates of a variance e² differ by √2·e; their mean, which is used, has the error e / √2.
    """
    others = [other for other in range(len(parts)) if other != index]
    size = parts[index].shape[:2]
    halves = (
        _mean([parts[k] for k in half], [motions[k] for k in half]) for half in (others[::2], others[1::2])
    )
    first, second = (Template(half, freedom).register(parts[index])[0] for half in halves)
    return first.distance(second, size) / 2 / float(max(size))


def _mean(parts: Sequence[Array], motions: Sequence[Motion], *, without: int | None = None) -> Array:
    """Return the mean of the parts' structures, each moved to where the template is."""
    total, count = np.zeros_like(parts[0]), 0
    for index, (part, motion) in enumerate(zip(parts, motions, strict=True)):
        if index != without:
            total += motion.onto_template(part)
            count += 1
    mean: Array = total / np.float32(max(count, 1))
    return mean
