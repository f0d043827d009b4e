"""Sequences of tensors as those tensors.

Before: ``SequenceAt(SplitToSequence(x), 1)``, ``ConcatFromSequence(SequenceInsert(s, x))``. After: an output
of Split, a Concat; operators that only hold tensors leave nothing behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import op_before, replace_node, standard_nodes
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_export.emit import Op

    Elements = Sequence[ir.Value]
    SequenceElements = dict[ir.Value | None, Elements]


def _empty(_op: Op, _node: ir.Node, _known: SequenceElements) -> Elements | None:
    return []


def _construct(_op: Op, node: ir.Node, _known: SequenceElements) -> Elements | None:
    return [operand(node, index) for index in range(len(node.inputs))]


def _same(_op: Op, node: ir.Node, known: SequenceElements) -> Elements | None:
    return known.get(node.inputs[0])


def _insert(op: Op, node: ir.Node, known: SequenceElements) -> Elements | None:
    before = known.get(node.inputs[0])
    if before is None or (position := _position(op, node, 2, len(before), default=len(before))) is None:
        return None
    return [*before[:position], operand(node, 1), *before[position:]]


def _erase(op: Op, node: ir.Node, known: SequenceElements) -> Elements | None:
    before = known.get(node.inputs[0])
    if before is None or (position := _position(op, node, 1, len(before))) is None:
        return None
    return [*before[:position], *before[position + 1 :]]


def _split(op: Op, node: ir.Node, _known: SequenceElements) -> Elements | None:
    """Return the outputs of a Split in place of SplitToSequence."""
    x = operand(node, 0)
    axis = attribute(node, "axis", 0)
    given = node.inputs[1] if len(node.inputs) > 1 else None
    length = None if x.shape is None else x.shape[axis]
    step = np.array(1) if given is None else evaluated(given, op.opset)
    if not isinstance(length, int) or step is None:
        return None
    bounds = range(0, length, step.item()) if step.ndim == 0 else None
    sizes = step if bounds is None else np.array([min(bounds.step, length - start) for start in bounds])
    parts = op.emit("Split", [x, sizes.astype(np.int64)], {"axis": axis}, len(sizes))
    if given is not None or attribute(node, "keepdims", 1):
        return parts
    return [op.Squeeze(part, [axis]) for part in parts]


def _at(op: Op, node: ir.Node, elements: Elements) -> ir.Value | None:
    position = _position(op, node, 1, len(elements))
    return None if position is None else elements[position]


def _concat(op: Op, node: ir.Node, elements: Elements) -> ir.Value | None:
    axis = attribute(node, "axis")
    if attribute(node, "new_axis", 0):
        elements = [op.Unsqueeze(element, [axis]) for element in elements]
    return op.Concat(*elements, axis=axis)


def _length(op: Op, _node: ir.Node, elements: Elements) -> ir.Value | None:
    return op.constant(np.array(len(elements)))


def _position(op: Op, node: ir.Node, index: int, length: int, default: int = -1) -> int | None:
    """Return the constant position in input ``index``, counted from the front; None if it is computed."""
    given = node.inputs[index] if len(node.inputs) > index else None
    array = np.array(default) if given is None else evaluated(given, op.opset)
    if array is None:
        return None
    position = int(array.item())
    return position + length if position < 0 else position


_MAKERS: dict[str, Callable[[Op, ir.Node, SequenceElements], Elements | None]] = {
    "Identity": _same,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SplitToSequence": _split,
}
_READERS: dict[str, Callable[[Op, ir.Node, Elements], ir.Value | None]] = {
    "ConcatFromSequence": _concat,
    "SequenceAt": _at,
    "SequenceLength": _length,
}


class ReplaceSequences(Pass):
    """Replaces the operators that read a sequence of known elements.

    The operators that make the sequence are left without a use.
    """

    operators = (*(name for name in _MAKERS if name != "Identity"), *_READERS)
    limits = "constant lengths and positions"
    needs = Known.SOME

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Follow the sequences through the graph, in order."""
        known: SequenceElements = {}
        modified = False
        for node in standard_nodes(model.graph, (*_MAKERS, *_READERS)):
            op = op_before(node, infer=False)
            if node.op_type in _MAKERS:
                elements = _MAKERS[node.op_type](op, node, known)
                if elements is not None:
                    known[node.outputs[0]] = elements
            elif node.inputs[0] in known:
                result = _READERS[node.op_type](op, node, known[node.inputs[0]])
                if result is not None:
                    replace_node(node, [op.Identity(result)])
                    modified = True
        return ir.passes.PassResult(model, modified)


class RefuseSequences(Pass):
    """Raises UnsupportedOperatorError for a sequence that is still in the graph; changes nothing."""

    keeps_shapes = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every node that works on sequences."""
        left = standard_nodes(model.graph, ReplaceSequences.operators)
        # An operator that makes a sequence is left because of one that reads it: that one is named.
        for node in sorted(left, key=lambda node: node.op_type not in _READERS):
            raise UnsupportedOperatorError(
                f"operator {node.op_type} works on a sequence whose length or positions are not constant",
                where=f"node {node.name!r}",
                hint="fix the model's input size with `size`, or explain an output in front of it with "
                "`output_name`",
            )
        return ir.passes.PassResult(model, modified=False)
