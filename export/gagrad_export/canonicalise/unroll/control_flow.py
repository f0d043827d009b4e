"""If, Loop and Scan as the nodes that they run, where that is the same for every image.

Before: ``Loop(trip count, condition, carried…) <body>``. After: the body's nodes once per iteration, each
reading what the one before it made; scan outputs are concatenated. An If becomes the branch that is taken.

A gradient of control flow would need control flow itself, which engines run slowly or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import op_before, replace_node, standard_nodes
from gagrad_export.emit import attribute

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NODES = 20_000
"""Engines need minutes to open a larger graph."""


class _Unrolling:
    """One If, Loop or Scan on its way to ordinary nodes. Types and shapes of new values are not known yet."""

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.op = op_before(node, infer=False)

    def known(self, value: ir.Value | None, what: str) -> Any:
        """Return the number or truth value in ``value``. Raises when it is not constant."""
        array = evaluated(value, self.op.opset)
        if array is None:
            raise self.refusal(f"{what} depends on the image")
        return array.item()

    def inline(self, body: ir.Graph, inputs: Sequence[ir.Value]) -> list[ir.Value]:
        """Write a copy of ``body``, fed by ``inputs``; return its outputs."""
        graph = self.op.graph
        if len(graph) + len(body) > MOST_NODES:
            raise self.refusal(f"its iterations make a graph of more than {MOST_NODES} nodes")
        prefix = self.op.new_name("body")
        copy = body.clone(allow_outer_scope_values=True)
        nodes, initializers = list(copy), list(copy.initializers.values())
        ir.convenience.replace_all_uses_with(copy.inputs, inputs, replace_graph_outputs=True)
        outputs = list(copy.outputs)
        copy.outputs.clear()
        copy.inputs.clear()
        copy.initializers.clear()
        copy.remove(nodes)
        for node in nodes:
            node.name = f"{prefix}/{node.name}"
        for value in (value for node in nodes for value in node.outputs):
            value.name = f"{prefix}/{value.name}"
            # The body's shapes hold for every iteration: those of one iteration are inferred more exactly.
            value.shape = None
        for value in initializers:
            value.name = f"{prefix}/{value.name}"
            graph.register_initializer(value)
        graph.insert_before(self.node, nodes)
        return outputs

    def collected(self, elements: Sequence[ir.Value], axis: int = 0) -> ir.Value:
        """Return the elements of all iterations side by side along a new axis."""
        if not elements:
            raise self.refusal("it runs zero times, so its scan outputs are empty")
        return self.op.Concat(*(self.op.Unsqueeze(value, [axis]) for value in elements), axis=axis)

    def refusal(self, why: str) -> UnsupportedOperatorError:
        """Return the error that names the node."""
        return UnsupportedOperatorError(
            f"operator {self.node.op_type} cannot be unrolled: {why}",
            where=f"node {self.node.name!r}",
            hint="fix the model's input size with `size`, export the model with constant shapes (in PyTorch "
            "with dynamo=True), or explain an output in front of it with `output_name`",
        )


def _if(unrolling: _Unrolling) -> list[ir.Value]:
    taken = unrolling.known(unrolling.node.inputs[0], "which branch is taken")
    return unrolling.inline(
        unrolling.node.attributes["then_branch" if taken else "else_branch"].as_graph(), []
    )


def _loop(unrolling: _Unrolling) -> list[ir.Value]:
    count, condition, *start = unrolling.node.inputs
    body = unrolling.node.attributes["body"].as_graph()
    trips = None if count is None else unrolling.known(count, "how often it runs")
    # Without a condition input, the condition that the body returns does not count.
    going = condition is None or unrolling.known(condition, "whether it runs")
    carried = [value for value in start if value is not None]
    scanned: list[list[ir.Value]] = [[] for _ in range(len(body.outputs) - 1 - len(carried))]
    true = unrolling.op.constant(np.array(True))
    step = 0
    while going and (trips is None or step < trips):
        outputs = unrolling.inline(body, [unrolling.op.constant(np.array(step)), true, *carried])
        if condition is not None:
            going = unrolling.known(outputs[0], "how often it runs")
        carried = outputs[1 : len(carried) + 1]
        for elements, element in zip(scanned, outputs[len(carried) + 1 :], strict=True):
            elements.append(element)
        step += 1
    return [*carried, *(unrolling.collected(elements) for elements in scanned)]


def _scan(unrolling: _Unrolling) -> list[ir.Value]:
    node = unrolling.node
    body, count = node.attributes["body"].as_graph(), attribute(node, "num_scan_inputs")
    values = [value for value in node.inputs if value is not None]
    carried, sequences = values[:-count], values[-count:]
    axes = attribute(node, "scan_input_axes", [0] * count)
    backward = attribute(node, "scan_input_directions", [0] * count)
    taken = [
        _elements(unrolling, sequence, axis)[:: -1 if back else 1]
        for sequence, axis, back in zip(sequences, axes, backward, strict=True)
    ]
    rest = len(body.outputs) - len(carried)
    scanned: list[list[ir.Value]] = [[] for _ in range(rest)]
    for elements in zip(*taken, strict=True):
        outputs = unrolling.inline(body, [*carried, *elements])
        carried = outputs[: len(carried)]
        for made, element in zip(scanned, outputs[len(carried) :], strict=True):
            made.append(element)
    axes = attribute(node, "scan_output_axes", [0] * rest)
    backward = attribute(node, "scan_output_directions", [0] * rest)
    collected = [
        unrolling.collected(made[:: -1 if back else 1], axis)
        for made, axis, back in zip(scanned, axes, backward, strict=True)
    ]
    return [*carried, *collected]


def _elements(unrolling: _Unrolling, sequence: ir.Value, axis: int) -> list[ir.Value]:
    """Return the slices of ``sequence`` along ``axis``, without it.

    By one Split: its gradient is one Concat, where a Gather for each would add up as many full tensors.
    """
    size = None if sequence.shape is None else sequence.shape[axis]
    if not isinstance(size, int):
        raise unrolling.refusal("the number of its steps is not fixed")
    parts = unrolling.op.emit("Split", [sequence, [1] * size], {"axis": axis}, size)
    return [unrolling.op.Squeeze(part, [axis]) for part in parts]


_FORMS = {"If": _if, "Loop": _loop, "Scan": _scan}


class UnrollControlFlow(Pass):
    """Unrolls the first If, Loop or Scan. Raises UnsupportedOperatorError where that depends on the image.

    Control flow behind the first, or in its body, may depend on constants that it makes: these are folded
    before the next is unrolled.
    """

    operators = tuple(_FORMS)
    limits = "conditions and trip counts that constants decide"
    needs = Known.SOME

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Unroll one node, if there is one."""
        nodes = standard_nodes(model.graph, self.operators)
        if nodes:
            # Copies of the body share its constants.
            passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
            passes.LiftSubgraphInitializersToMainGraphPass()(model)
            unrolling = _Unrolling(nodes[0])
            results = _FORMS[unrolling.node.op_type](unrolling)
            replace_node(unrolling.node, [unrolling.op.Identity(value) for value in results])
        return ir.passes.PassResult(model, bool(nodes))
