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
from gagrad_runtime.frame.placement import place
from gagrad_runtime.language import text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.sampling.covering_images import WIDE, Cover, covered, feathered
from gagrad_runtime.sampling.pieces import Surface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.audit.clustering import Rectangle
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]
    Box = tuple[float, float, float, float]
    Where = Callable[[Placement], Sequence[Cover]]
    """A place, in pixels of the image of a part with this placement."""

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

    @property
    def words(self) -> str:
        """The share with its interval and of how many it is, in the current language."""
        low, high = self.interval
        return text(
            "{share} ({low} to {high}) of {count}",
            share=share_text(self.share),
            low=share_text(low),
            high=share_text(high),
            count=f"{self.of:,}",
        )

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
    sha256: str = ""
    """Of the frame's pixels."""


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
        frame = frame_for(spec, content(path))
        image, placement = prepare(frame, spec)
        return Part(image[0], placement, self.verdict(image[0], placement), frame.sha256)

    def verdict(self, image: Array, placement: Placement) -> str:
        """Return what the model says of ``image [C, H, W]``."""
        outputs = self._explainer.outputs(np.ascontiguousarray(image[None]))
        return self._explainer.reader.prediction(outputs, placement).verdict


def part_of(asker: Asker, path: str) -> Part | None:
    """Return the image at ``path``, and the answer; None where it is gone, or is no image any more."""
    try:
        return asker.part(path)
    except (InputError, ModelError):
        return None


def pixels(places: Sequence[Rectangle], placement: Placement) -> list[Cover]:
    """Return ``places``, cells of what the model sees of the frame, in pixels of its image, widened."""
    return [_widened(box, placement) for box in boxes(places, placement)]


def boxes(places: Sequence[Rectangle], placement: Placement) -> list[Box]:
    """Return ``places`` in pixels of the model's image: (left, top, right, bottom)."""
    rows, columns = placement.on_model
    tall, wide = (rows.stop - rows.start) / GRID, (columns.stop - columns.start) / GRID
    return [
        (
            columns.start + one.left * wide,
            rows.start + one.top * tall,
            columns.start + one.right * wide,
            rows.start + one.bottom * tall,
        )
        for one in places
    ]


def _widened(box: Box, placement: Placement) -> Cover:
    rows, columns = placement.on_model
    grown = round(WIDE.grown * min(placement.model_size))
    return Cover(
        max(round(box[0]) - grown, columns.start),
        max(round(box[1]) - grown, rows.start),
        min(round(box[2]) + grown, columns.stop),
        min(round(box[3]) + grown, rows.stop),
    )


def seen_by_another(places: Sequence[Rectangle], spec: InputSpec, placement: Placement) -> list[Cover]:
    """Return ``places``, cells of what a model with the input ``spec`` sees, where another model sees them.

    ``placement`` is the other model's. A place that it does not see is left out.
    """
    found = []
    before = place(placement.frame_size, spec)
    for box in boxes(places, before):
        left, top, right, bottom = before.box_to_frame(box)
        rows, columns = placement.on_model
        now = (*placement.point_to_model(left, top), *placement.point_to_model(right, bottom))
        if min(now[2], columns.stop) - max(now[0], columns.start) < 1:
            continue
        if min(now[3], rows.stop) - max(now[1], rows.start) < 1:
            continue
        found.append(_widened(now, placement))
    return found


def without(part: Part, covers: Sequence[Cover]) -> Array:
    """Return the image of ``part`` with ``covers`` covered by its own surroundings, one after the other."""
    seen = np.zeros(part.placement.model_size, bool)
    seen[part.placement.on_model] = True
    image: Array = part.image
    for one in covers:
        image = covered(Surface(image, seen), one, tuple(covers))
    return image


def with_pasted(part: Part, donor: Part, covers: Sequence[Cover]) -> Array:
    """Return the image of ``part`` with the pixels of ``donor`` at ``covers``, and soft edges."""
    image: Array = part.image.copy()
    for one in covers:
        rows, columns, weight = feathered(one, part.placement.model_size)
        here = image[:, rows, columns]
        here += weight * (donor.image[:, rows, columns] - here)
    return image


def covering(asker: Asker, members: Sequence[Part], where: Where) -> tuple[Rate, str]:
    """Return how many members have another answer with their place covered, and the one that most have.

    Of a member without a place nothing is covered, and nobody is asked.
    """
    given = [(one, covers) for one in members if (covers := where(one.placement))]
    said = [(one.verdict, asker.verdict(without(one, covers), one.placement)) for one, covers in given]
    others = [after for before, after in said if after != before]
    return Rate(len(others), len(said)), max(sorted(set(others)), key=others.count, default="")


def pasting(
    asker: Asker, parts: Sequence[Part], donors: Sequence[Part], where: Where
) -> list[tuple[str, str]]:
    """Return what the model says of ``parts``, and with the places of donors, in turn, pasted onto them."""
    found = []
    for index, part in enumerate(parts if donors else ()):
        if covers := where(part.placement):
            pasted = with_pasted(part, donors[index % len(donors)], covers)
            found.append((part.verdict, asker.verdict(pasted, part.placement)))
    return found
