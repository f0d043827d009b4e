"""Paths from the image to the score: which values lie on them, and which patches still reach the score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gagrad_export.assemble.positions.axes import Axes, Grid
from gagrad_export.assemble.positions.follow import positions
from gagrad_export.assemble.positions.taking import ranges
from gagrad_export.differentiate.registry import has_zero_derivative

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx_ir as ir

_WEIGHTED = ("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul")


@dataclass(frozen=True)
class Paths:
    """The paths of ``graph`` along which the image changes the score and there is a derivative."""

    graph: ir.Graph

    @cached_property
    def nodes(self) -> list[ir.Node]:
        """The nodes on the paths, in order."""
        reached: set[ir.Value | None] = {self.image}
        forward = []
        for node in self.graph:
            if any(value in reached for value in node.inputs) and not has_zero_derivative(node):
                reached.update(node.outputs)
                forward.append(node)
        wanted: set[ir.Value | None] = {self.graph.outputs[0]}
        backward = []
        for node in reversed(forward):
            if any(value in wanted for value in node.outputs):
                wanted.update(value for value in node.inputs if value in reached)
                backward.append(node)
        return backward[::-1]

    @property
    def image(self) -> ir.Value:
        """The image."""
        return self.graph.inputs[0]

    @cached_property
    def order(self) -> dict[ir.Value, int]:
        """The values on the paths, the image first; each with its place in the order of the nodes."""
        wanted = {value for node in self.nodes for value in node.inputs} | set(self.graph.outputs)
        found = {self.image: -1}
        for index, node in enumerate(self.nodes):
            found |= {value: index for value in node.outputs if value in wanted}
        return found

    @cached_property
    def axes(self) -> dict[ir.Value, Axes]:
        """What runs along the image in each value."""
        return positions(self.graph)

    @cached_property
    def readers(self) -> dict[ir.Value, list[tuple[ir.Node, int]]]:
        """The nodes on the paths that read each value, and at which input."""
        found: dict[ir.Value, list[tuple[ir.Node, int]]] = {value: [] for value in self.order}
        for node in self.nodes:
            for index, value in enumerate(node.inputs):
                if value in self.order:
                    found[value].append((node, index))
        return found

    def is_weighted(self, node: ir.Node) -> bool:
        """Tell whether ``node`` multiplies by weights, and not two values of the image by one another."""
        return node.op_type in _WEIGHTED and any(
            value is not None and value not in self.order for value in node.inputs
        )

    @cached_property
    def behind_weights(self) -> set[ir.Value]:
        """Values that depend on the image through weights."""
        found: set[ir.Value] = set()
        for node in self.nodes:
            if self.is_weighted(node) or any(value in found for value in node.inputs if value is not None):
                found.update(value for value in node.outputs if value in self.order)
        return found

    @cached_property
    def in_front_of_weights(self) -> set[ir.Value]:
        """Values with weights on every path to the score; behind them there are scores already."""
        found: set[ir.Value] = set()
        for value in reversed(self.order):
            if value in self.graph.outputs:
                continue
            if all(
                self.is_weighted(node) or all(y in found for y in node.outputs if y in self.order)
                for node, _ in self.readers[value]
            ):
                found.add(value)
        return found

    @cached_property
    def weights_behind(self) -> set[ir.Value]:
        """Values with weights on some path to the score."""
        found: set[ir.Value] = set()
        for node in reversed(self.nodes):
            if self.is_weighted(node) or any(value in found for value in node.outputs):
                found.update(value for value in node.inputs if value in self.order)
        return found

    def lies_in_front(self, value: ir.Value, other: ir.Value) -> bool:
        """Tell whether there is a path from ``value`` to ``other``."""
        return value in self.last({value}, end=other)[0]

    @cached_property
    def live(self) -> set[ir.Value]:
        """Values whose patches reach the score: behind its last attention only the class token does."""
        found: set[ir.Value] = set()
        for value in reversed(self.order):
            readers = self.readers[value]
            if value in self.graph.outputs or any(
                self._passes_patches(node, index, found) for node, index in readers
            ):
                found.add(value)
        return found

    def _passes_patches(self, node: ir.Node, index: int, live: Collection[ir.Value]) -> bool:
        """Tell whether the patches of input ``index`` of ``node`` reach the score through it."""
        value = node.inputs[index]
        axes = () if value is None else self.axes.get(value, ())
        grid = next((axis for axis in axes if isinstance(axis, Grid)), None)
        if value is None or grid is None or (node.op_type == "MatMul" and index > 0):
            return True  # keys and values of an attention are mixed into every row
        outputs = [output for output in node.outputs if output in self.order]
        held = [any(isinstance(axis, Grid) for axis in self.axes.get(output, ())) for output in outputs]
        if node.op_type in ("Slice", "Split", "Gather"):
            along = self.axes[value].index(grid)
            end = grid.before + grid.height * grid.width
            taken = dict(zip(node.outputs, ranges(node), strict=True))
            for output, is_held in zip(outputs, held, strict=True):
                start, stop, _ = taken[output].get(along, (0, end, 1))
                # One token alone is read for what attention has gathered in it, wherever it stands.
                beside = stop == start + 1 or (stop > start and (stop <= grid.before or start >= end))
                if not beside and (output in live if is_held else True):
                    return True
            return False
        return any(output in live if is_held else True for output, is_held in zip(outputs, held, strict=True))

    def last(
        self, stops: Collection[ir.Value], *, end: ir.Value | None = None
    ) -> tuple[list[ir.Value], bool]:
        """Return the last of ``stops`` on each path to ``end``, and whether every path has one.

        ``end`` is the score by default. In a vision transformer the class token passes by the patches' last
        values. It is no part of the image, so a path ends there, too.
        """
        end = self.graph.outputs[0] if end is None else end
        found: set[ir.Value] = set()
        seen, waiting, reaches_image = {end}, [end], False
        while waiting:
            node = waiting.pop().producer()
            if node is None:
                continue
            for index, value in enumerate(node.inputs):
                if value is None or value not in self.order:
                    continue
                if value in stops:
                    if value not in found and self._passes_patches(node, index, self.live):
                        found.add(value)
                elif value is self.image:
                    reaches_image = True
                elif value not in seen:
                    seen.add(value)
                    waiting.append(value)
        return sorted(found, key=self.order.__getitem__), not reaches_image

    def covers(self, stop: ir.Value, end: ir.Value | None = None) -> bool:
        """Tell whether every path from the image to ``end`` (by default the score) has ``stop``."""
        return self.last({stop}, end=end)[1]
