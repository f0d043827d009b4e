"""Proof by intervention: a cluster's place is covered in its members, and pasted onto other parts.

How a cluster looks proves nothing: that of a planted sticker was the least concentrated one. So the model is
asked: what does it say of the members without the place, and of other parts with it? As much is covered and
pasted elsewhere, to compare with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from gagrad_edge.errors import InputError, ModelError
from gagrad_runtime.audit.sources import content
from gagrad_runtime.audit.table import GRID
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.sampling.covering_images import WIDE, Cover, covered, feathered
from gagrad_runtime.sampling.pieces import Surface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.audit.clustering import Rectangle
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]

_NORMAL = 1.96
"""Quantile of the normal distribution for intervals of 95 %."""


class Rate(msgspec.Struct, frozen=True):
    """How many answers changed, of how many."""

    changed: int
    of: int

    @property
    def share(self) -> float:
        """``changed`` of ``of``, 0..1; NaN of none."""
        return self.changed / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of the share, 95 %; 0 to 1 of none."""
        if not self.of:
            return 0.0, 1.0
        square = _NORMAL**2
        centre = (self.share + square / (2 * self.of)) / (1 + square / self.of)
        spread = math.sqrt(self.share * (1 - self.share) / self.of + square / (4 * self.of**2))
        half = _NORMAL * spread / (1 + square / self.of)
        return max(centre - half, 0.0), min(centre + half, 1.0)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{share_text(self.share)} ({share_text(low)} to {share_text(high)}) of {self.of}"

    def above(self, other: Rate) -> bool:
        """Whether the share is above the other's beyond doubt: their intervals do not meet."""
        return self.interval[0] > other.interval[1]


@dataclass(frozen=True, eq=False)
class Part:
    """One image as the model gets it."""

    image: Array
    """[C, H, W] in 0..1."""
    placement: Placement
    verdict: str


class Asker(Protocol):
    """A model that can be asked about images that are changed; tests have another one."""

    def part(self, path: str) -> Part:
        """Return the image at ``path``, and the answer. Raises InputError and ModelError."""

    def verdict(self, image: Array, placement: Placement) -> str:
        """Return what the model says of ``image [C, H, W]``. Raises ModelError."""


class BundleAsker:
    """A bundle that is open."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer

    def part(self, path: str) -> Part:
        """Return the image at ``path``, and the answer."""
        spec = self._explainer.manifest.input
        image, placement = prepare(frame_for(spec, content(path)), spec)
        return Part(image[0], placement, self.verdict(image[0], placement))

    def verdict(self, image: Array, placement: Placement) -> str:
        """Return what the model says of ``image [C, H, W]``."""
        outputs = self._explainer.outputs(np.ascontiguousarray(image[None]))
        return self._explainer.reader.prediction(outputs, placement).verdict


def parts_of(asker: Asker, paths: Sequence[str], keep: Callable[[str], bool]) -> list[Part]:
    """Return the images at ``paths`` whose answer is one to ``keep``; those that are gone are left out."""
    found = []
    for path in paths:
        try:
            part = asker.part(path)
        except (InputError, ModelError):
            continue
        if keep(part.verdict):
            found.append(part)
    return found


def pixels(places: Sequence[Rectangle], placement: Placement) -> list[Cover]:
    """Return ``places``, cells of what the model sees of the frame, in pixels of its image, widened."""
    rows, columns = placement.on_model
    tall, wide = (rows.stop - rows.start) / GRID, (columns.stop - columns.start) / GRID
    grown = round(WIDE.grown * min(placement.model_size))
    return [
        Cover(
            max(round(columns.start + one.left * wide) - grown, columns.start),
            max(round(rows.start + one.top * tall) - grown, rows.start),
            min(round(columns.start + one.right * wide) + grown, columns.stop),
            min(round(rows.start + one.bottom * tall) + grown, rows.stop),
        )
        for one in places
    ]


def without(part: Part, places: Sequence[Rectangle]) -> Array:
    """Return the image of ``part`` with ``places`` covered by its own surroundings, one after the other."""
    seen = np.zeros(part.placement.model_size, bool)
    seen[part.placement.on_model] = True
    covers = pixels(places, part.placement)
    image: Array = part.image
    for one in covers:
        image = covered(Surface(image, seen), one, tuple(covers))
    return image


def with_pasted(part: Part, donor: Part, places: Sequence[Rectangle]) -> Array:
    """Return the image of ``part`` with the pixels of ``donor`` at ``places``, and soft edges."""
    image: Array = part.image.copy()
    for one in pixels(places, part.placement):
        weight = feathered(one, part.placement.model_size)
        image += weight * (donor.image - image)
    return image


def covering(asker: Asker, members: Sequence[Part], places: Sequence[Rectangle]) -> tuple[Rate, str]:
    """Return how many members have another answer with ``places`` covered, and the one that most have.

    Without places there is nothing to cover, and nobody is asked.
    """
    if not places:
        return Rate(0, 0), ""
    said = [(one.verdict, asker.verdict(without(one, places), one.placement)) for one in members]
    others = [after for before, after in said if after != before]
    return Rate(len(others), len(said)), max(sorted(set(others)), key=others.count, default="")


def pasting(
    asker: Asker, parts: Sequence[Part], donors: Sequence[Part], places: Sequence[Rectangle]
) -> list[str]:
    """Return what the model says of ``parts`` with the ``places`` of donors, in turn, pasted onto them."""
    if not places or not donors:
        return []
    given = [(part, donors[index % len(donors)]) for index, part in enumerate(parts)]
    return [asker.verdict(with_pasted(part, donor, places), part.placement) for part, donor in given]
