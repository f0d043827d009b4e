"""Target: from a class name or an index to an element of the output, and to the cotangent."""

from __future__ import annotations

import difflib
import math
import operator
import reprlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import TargetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.question.output_region import OutputRegion

    Array = NDArray[np.float32]
    Box = tuple[float, float, float, float]


@dataclass(frozen=True, repr=False)
class Target:
    """What is explained: one element of the output, or the difference of two ("why this and not that").

    Or several: the cells of a region, or the steps of a text line.
    """

    index: tuple[int, ...]
    """Element of ``scores``, without the batch axis."""
    name: str
    """Class name; the index as text when the classes have no names."""
    against_index: tuple[int, ...] | None = None
    """Element that is subtracted; None without a difference."""
    against_name: str | None = None
    """Name of the element that is subtracted."""
    region: OutputRegion | None = field(default=None, compare=False)
    """Where a spatial output is explained; then the indices are classes. None for the whole output."""
    box: Box | None = None
    """A detector's: (left, top, right, bottom) of the candidate in frame pixels."""
    model_box: Box | None = field(default=None, compare=False)
    """The same in pixels of the model's image, beyond its edges too."""
    detection: int | None = None
    """A detector's: number in the prediction's list, from 1; None for a candidate that is not listed."""
    path: tuple[tuple[int, int], ...] = ()
    """Elements (character, step) of a text line that are explained together; ``index`` is the first one."""
    weights: NDArray[np.float32] | None = field(default=None, compare=False)
    """[K…], the caller's own cotangent; None where the other fields say what it is."""

    def __str__(self) -> str:
        return self.name if self.against_name is None else f"{self.name} and not {self.against_name}"

    def __repr__(self) -> str:
        against = "" if self.against_name is None else f" and not {reprlib.repr(self.against_name)}"
        inside = "" if self.region is None else f" in {reprlib.repr(self.region.name)}"
        inside += "" if self.detection is None else f", detection {self.detection}"
        return f"Target({reprlib.repr(self.name)}{against}{inside}, index={self.index})"

    def reading(self, values: NDArray[np.float32], index: tuple[int, ...] | None = None) -> float:
        """Return the target's value (or that of ``index``) in ``values [K…]``.

        With a region, its mean; with a path, its sum.
        """
        if self.path and index in (None, self.index):
            return math.fsum(float(values[step]) for step in self.path)
        found = values[self.index if index is None else index]
        return float(found) if self.region is None else self.region.mean(found)

    def probability(self, probabilities: NDArray[np.float32], index: tuple[int, ...] | None = None) -> float:
        """Return the probability of the target (or of ``index``) in ``probabilities [K…]``, 0..1.

        With a region, the mean there; with a path, the product, as each of its characters has to be right.
        """
        if self.path and index in (None, self.index):
            return math.prod(float(probabilities[step]) for step in self.path)
        return self.reading(probabilities, index)


def weighted(weights: Array) -> Target:
    """Return the target whose cotangent is ``weights [K…]``; its index is that of the largest weight.

    Raises TargetError for weights that are all zero, or not finite.
    """
    if not np.isfinite(weights).all() or not weights.any():
        raise TargetError(
            "its weights are all zero, or one of them is no number",
            where="cotangent",
            hint="give 1 at the class to explain, and -1 at one that it is compared with",
        )
    index = tuple(int(i) for i in np.unravel_index(int(np.abs(weights).argmax()), weights.shape))
    return Target(index, "the given weights", weights=weights)


Choice = str | int | tuple[int, ...]
"""How a target is given: a class name, an index, or one index per axis of the output."""


def predicted_target(scores: Array, spec: OutputSpec, region: OutputRegion | None = None) -> Target:
    """Return the model's answer: the element with the largest of ``scores [K…]``.

    With a ``region``, the class with the largest mean score there.
    """
    if region is not None:
        means = [region.mean(plane) for plane in scores]
        best = (int(np.argmax(means)),)
        return Target(best, element_name(best, spec), region=region)
    index = tuple(int(i) for i in np.unravel_index(int(scores.argmax()), scores.shape))
    return Target(index, element_name(index, spec))


def resolve_target(
    choice: Choice | None,
    against: Choice | None,
    scores: Array,
    spec: OutputSpec,
    region: OutputRegion | None = None,
) -> Target:
    """Return the target chosen by name or index; by default the predicted one. Raises TargetError.

    With a ``region`` of a spatial output, choices are classes: the target is the class's score in the region.
    """
    target = predicted_target(scores, spec, region)
    axes = len(spec.shape) if region is None else 1
    if choice is not None:
        index = element_index(choice, spec, "target", axes)
        target = Target(index, element_name(index, spec), region=region)
    if against is None:
        return target
    other = element_index(against, spec, "against", axes)
    if other == target.index:
        raise TargetError(
            f"{element_name(other, spec)} cannot be explained against itself",
            where="against",
            hint="choose another class",
        )
    return Target(target.index, target.name, other, element_name(other, spec), region)


def cotangent(target: Target, shape: tuple[int, ...]) -> Array:
    """Return the weights ``[1, K…]`` over the output: one-hot, or e_a − e_b for "a and not b".

    With a region, the same for each of its cells, so that the score explained is the sum over them; with a
    path, 1 at each of its elements; and the caller's own weights, if there are any.
    """
    if target.weights is not None:
        return np.ascontiguousarray(target.weights[None], np.float32)
    weights = np.zeros((1, *shape), np.float32)
    for step in target.path:
        weights[0][step] = 1
    if target.path:
        return weights
    one = 1 if target.region is None else target.region.cells
    weights[0][target.index] = one
    if target.against_index is not None:
        weights[0][target.against_index] -= one
    return weights


def element_name(index: tuple[int, ...], spec: OutputSpec) -> str:
    """Return the class name of an element, or its index as text; behind the class, the rest of the index."""
    head, *rest = index
    name = spec.classes[head] if spec.classes else str(head)
    return name if not rest else f"{name}[{', '.join(map(str, rest))}]"


def element_index(choice: Choice, spec: OutputSpec, where: str, axes: int) -> tuple[int, ...]:
    """Return the index, of ``axes`` numbers, of a class or an element. TargetError for one that is not."""
    if isinstance(choice, str):
        choice = _named(choice, spec, where)
    try:
        index = tuple(operator.index(one) for one in (choice if isinstance(choice, tuple) else (choice,)))
    except TypeError:
        raise TargetError(
            f"{choice!r} is neither a class name nor an index",
            where=where,
            hint="give the class name, its whole number, or a tuple with one whole number per axis",
        ) from None
    if len(index) != axes:
        raise TargetError(
            f"{','.join(map(str, index))} is {_numbers(len(index))}, and an answer of this model has "
            f"{_numbers(axes)}",
            where=where,
            hint="give the name or the number of a class"
            if axes == 1
            else f"give {axes} numbers with commas, or a class with a region",
        )
    for position, size in zip(index, spec.shape[:axes], strict=True):
        if not 0 <= position < size:
            raise TargetError(f"there is no output {position}; the outputs are 0 to {size - 1}", where=where)
    return index


def _numbers(count: int) -> str:
    return "one number" if count == 1 else f"{count} numbers"


def _named(name: str, spec: OutputSpec, where: str) -> tuple[int, ...]:
    """Return the index of a class name: exact, else in any case, else a number."""
    if name in spec.classes:
        return (spec.classes.index(name),)
    folded = [known.casefold() for known in spec.classes]
    if folded.count(name.casefold()) == 1:
        return (folded.index(name.casefold()),)
    try:
        return tuple(int(part) for part in name.split(","))
    except ValueError:
        pass
    if not spec.classes:
        raise TargetError(
            f"{name!r} is no index, and this bundle has no class names",
            where=where,
            hint=f"give a number from 0 to {spec.shape[0] - 1}, or export the model with its class names",
        )
    near = difflib.get_close_matches(name.casefold(), folded, n=5, cutoff=0.4)
    raise TargetError(
        f"there is no class {name!r}",
        where=where,
        hint="did you mean one of these? `gagrad-edge inspect` lists all" if near else None,
        choices=[spec.classes[folded.index(match)] for match in near],
    )
