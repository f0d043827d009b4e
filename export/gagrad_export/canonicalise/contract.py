"""What every pass states, and the sequence that holds passes to it.

A pass is an onnx_ir InPlacePass: ``requires`` → ``call`` → ``ensures``, and a result that says whether the
model was modified. Each of ours states besides what it needs to know of types and shapes, and whether they
still hold after it: ``run`` infers and invalidates them accordingly, and no pass does so itself.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.canonicalise.fold.inference import invalidate_shapes, measured, supply_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Pass(ir.passes.InPlacePass):
    """One step to canonical form. The main graph is sorted before it and after it."""

    operators: ClassVar[tuple[str, ...]] = ()
    """Operators that the pass writes others in the place of."""
    limits: ClassVar[str] = ""
    """Which forms of ``operators`` it refuses, in words for docs/operators.md."""
    needs: ClassVar[Known] = Known.NOTHING
    """What has to be known of types and shapes."""
    keeps_shapes: ClassVar[bool] = False
    """Whether types and shapes still hold after a modification: new values have theirs, others the old."""

    def requires(self, model: ir.Model) -> None:
        """Raise PreconditionError unless types and shapes are known as ``needs`` says."""
        known = findings_of(model).known
        if known >= Known.ALL:
            known = min(known, measured(model.graph))
        if known < self.needs:
            raise ir.passes.PreconditionError(
                f"{type(self).__name__} needs {self.needs.name} of the types and shapes, and {known.name} is "
                "known"
            )

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError where a node reads a value of the main graph that is made behind it."""
        made: set[ir.Node] = set()
        for node in model.graph:
            for value in node.inputs:
                producer = None if value is None else value.producer()
                if producer is not None and producer.graph is model.graph and producer not in made:
                    raise ir.passes.PostconditionError(
                        f"{type(self).__name__} leaves {node.name} in front of {producer.name}, its input"
                    )
            made.add(node)


class Repeat(Pass):
    """Runs ``first`` and then ``steps``; as soon as one of ``steps`` modifies the model, all over again.

    Ends when none of ``steps`` does, or after ``most`` rounds.
    """

    keeps_shapes = True

    def __init__(self, *steps: Pass, first: Sequence[Pass] = (), most: int | None = None) -> None:
        self.first = first
        self.steps = steps
        self._most = most

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the passes."""
        modified = False
        for _ in itertools.count() if self._most is None else range(self._most):
            modified |= run(model, self.first)
            if not any(run(model, (step,)) for step in self.steps):
                break
            modified = True
        return ir.passes.PassResult(model, modified)


def run(model: ir.Model, passes: Iterable[Pass]) -> bool:
    """Run ``passes`` in order and return whether the model was modified.

    Types and shapes are inferred where the next pass needs them. Raises ModelError where they cannot be.
    """
    modified = False
    for step in passes:
        supply_shapes(model, step.needs)
        if step(model).modified:
            modified = True
            findings = findings_of(model)
            if not step.keeps_shapes:
                invalidate_shapes(model)
            elif findings.known >= Known.ALL:
                findings.known = min(findings.known, measured(model.graph))
    return modified


def single_passes(passes: Iterable[Pass]) -> Iterator[Pass]:
    """Yield each of ``passes``, and the ones inside a Repeat in its place."""
    for step in passes:
        if isinstance(step, Repeat):
            yield from single_passes((*step.first, *step.steps))
        else:
            yield step
