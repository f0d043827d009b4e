"""An axis of a value: along the image's rows or columns, along both, or along neither."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from gagrad_export.emit import attribute, static_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


@dataclass(frozen=True)
class Line:
    """Positions along the image's rows (from top to bottom) or columns, in pixels of the image."""

    along: Literal["rows", "columns"]
    start: float
    """Where the first position begins; 0 is the image's edge."""
    step: float
    """Distance of two neighbours."""


@dataclass(frozen=True)
class Grid:
    """Positions row by row along one axis: tokens, with others such as a class token before and behind."""

    rows: Line
    columns: Line
    height: int
    width: int
    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class Folded:
    """The last of several axes that other axes were joined into and split again, such as groups of channels.

    A reshape that undoes this finds the axes as they were.
    """

    shape: tuple[int, ...]
    """The sizes of the axes now."""
    sizes: tuple[int, ...]
    axes: tuple[Line | Grid | None, ...]
    """The axes as they were."""


Axis = Line | Grid | Folded | None
Axes = tuple[Axis, ...]
"""One entry for each axis of a value; None where the axis does not run along the image."""
Shape = list[int | None]


def axes_of(node: ir.Node, index: int, found: Mapping[ir.Value, Axes]) -> Axes:
    """Return the axes of input ``index`` of ``node``."""
    value = node.inputs[index]
    return () if value is None else found.get(value, (None,) * len(static_shape(value)))


def both_shapes(node: ir.Node) -> tuple[Shape, Shape]:
    """Return the shapes of the first input and of the first output."""
    data = node.inputs[0]
    return [] if data is None else static_shape(data), static_shape(node.outputs[0])


def resized(line: Line, size: int | None, new: int | None) -> Line | None:
    """Return ``line`` with ``new`` positions in place of ``size`` over the same extent."""
    return replace(line, step=line.step * size / new) if size and new else None


def axis_of(node: ir.Node, rank: int, default: int = 0) -> int:
    """Return the attribute ``axis`` of ``node``, counted from the front."""
    return int(attribute(node, "axis", default)) % rank
