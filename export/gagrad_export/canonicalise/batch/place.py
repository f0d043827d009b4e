"""Where the batch lies in a value's shape.

The batch starts as axis 0 of the image. Transposes carry the batch to other axes, and reshapes may fold it
into an axis: ``[1·12, 197, 64]`` holds rows of 12 heads, so its axis 0 has the digits (N, 12). A reshape
keeps the elements in row-major order, and so the number of positions *outside* the batch: the product of the
axes and digits in front of it. Any axis of the new shape that begins at this product can hold the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir


@dataclass(frozen=True)
class Place:
    """The batch is the middle digit of ``axis``, whose extent is ``before · N · after``."""

    axis: int
    before: int = 1
    after: int = 1

    @property
    def pure(self) -> bool:
        """Whether the axis holds the batch and nothing else."""
        return self.before == self.after == 1

    def at(self, axis: int) -> Place:
        """Return the same digits at another axis."""
        return Place(axis, self.before, self.after)

    def free(self, shape: Sequence[int]) -> list[int]:
        """Return ``shape`` with −1 on the axis that the batch is in: the target of a Reshape."""
        return [*shape[: self.axis], -1, *shape[self.axis + 1 :]]

    def split(self, shape: Sequence[int], batch: int) -> list[int]:
        """Return ``shape`` with the axis split into its three digits, the batch's being ``batch``."""
        return [*shape[: self.axis], self.before, batch, self.after, *shape[self.axis + 1 :]]

    def row(self, shape: Sequence[int]) -> list[int]:
        """Return the shape of one row: ``shape`` without the batch."""
        rest = [] if self.pure else [self.before * self.after]
        return [*shape[: self.axis], *rest, *shape[self.axis + 1 :]]

    def outer(self, shape: Sequence[int]) -> int:
        """Return how many positions lie outside the batch in row-major order."""
        return prod(shape[: self.axis]) * self.before


def places(shape: Sequence[int], outer: int, size: int) -> list[Place]:
    """Return where a batch of ``size`` rows with ``outer`` positions outside it can lie in ``shape``.

    Axes that hold the batch alone come first, then axes of which the batch is the outermost digit.
    """
    found = []
    for axis, extent in enumerate(shape):
        before, rest = divmod(outer, prod(shape[:axis]) or 1)
        if rest or before == 0 or extent % (before * size):
            continue
        found.append(Place(axis, before, extent // (before * size)))
    return sorted(found, key=lambda place: (not place.pure, place.before > 1))


def shape_of(value: ir.Value | None) -> list[int]:
    """Return the shape for the fixed batch, in passes that need FIXED shapes: all dimensions are numbers."""
    assert value is not None  # noqa: S101 - asked of required inputs
    return [dim for dim in static_shape(value) if dim is not None]
