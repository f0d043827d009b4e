"""LSTM, GRU and RNN as the ordinary operators of their steps, so that the ordinary rules differentiate them.

Before: ``LSTM(x [T, N, I], W, R, B, …)``. After, for a T that is known:

- one MatMul for the input's share in all steps, ``x·Wᵀ + b``, split into T values;
- T times the step of ``recurrent_cell``, both directions at once: the backward direction reads its share
  reversed in time;
- Concat, Transpose and Squeeze to Y, Y_h and Y_c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import Rewriting
from gagrad_export.canonicalise.unroll.recurrent_cell import (
    ACTIVATIONS,
    Activation,
    Cell,
    State,
    gru,
    gru_linear_before_reset,
    lstm,
    rnn,
)
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op

    Array = NDArray[Any]
    Step = Callable[[Op, Cell, ir.Value, State], State]

_CELLS: dict[str, tuple[Step, int, list[str]]] = {
    "LSTM": (lstm, 4, ["Sigmoid", "Tanh", "Tanh"]),
    "GRU": (gru, 3, ["Sigmoid", "Tanh"]),
    "RNN": (rnn, 1, ["Tanh"]),
}
"""The step, the number of gates and the default activations."""

_MOST_STEPS = 1000
"""The most steps to unroll: no engine opens a longer graph in reasonable time."""


class UnrollRecurrent(Rewriting):
    """Unrolls every LSTM, GRU and RNN. Raises UnsupportedOperatorError beyond ``limits``."""

    operators = tuple(_CELLS)
    limits = "a fixed number of steps, up to 1000; constant weights"
    needs = Known.ALL
    keeps_shapes = False

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value]:
        """Return Y, Y_h and, for an LSTM, Y_c."""
        return _Unrolling(op, node).results()


class _Unrolling:
    """One LSTM, GRU or RNN on its way to ordinary operators."""

    def __init__(self, op: Op, node: ir.Node) -> None:
        self.op = op
        self.node = node
        self.step, self.gates, self.default_activations = _CELLS[node.op_type]
        if node.op_type == "GRU" and attribute(node, "linear_before_reset", 0):
            self.step = gru_linear_before_reset
        self.w, self.r = self._constant(1, "W"), self._constant(2, "R")
        self.directions, _, self.hidden = self.r.shape
        shape = (self.directions, 2, self.gates * self.hidden)
        self.b = np.zeros(shape, self.w.dtype) if self._omitted(3) else self._constant(3, "B").reshape(shape)
        self.swapped = attribute(node, "layout", 0) == 1

    def results(self) -> list[ir.Value]:
        """Emit the steps and return what takes the place of the node's outputs."""
        op, node = self.op, self.node
        x = operand(node, 0)
        x = op.Transpose(x, perm=[1, 0, 2]) if self.swapped else x
        self._check_steps(x)
        activations = self._activations()
        # Both directions share nodes, unless their activations differ.
        all_directions = list(range(self.directions))
        groups = [all_directions] if len(set(activations)) == 1 else [[d] for d in all_directions]
        runs = [self._run(x, group, activations[group[0]]) for group in groups]
        y, *last = (op.Concat(*parts, axis=1) for parts in zip(*runs, strict=True))
        last = [op.Squeeze(value, [0]) for value in last]
        if self.swapped:
            y = op.Transpose(y, perm=[2, 0, 1, 3])
            last = [op.Transpose(value, perm=[1, 0, 2]) for value in last]
        return [y, *last]

    def _run(self, x: ir.Value, group: list[int], activations: tuple[Activation, ...]) -> State:
        """Return Y ``[T, D, N, H]`` and the last state, ``[1, D, N, H]`` each, of ``group``."""
        op, cell = self.op, self._cell(group, activations)
        weights = self.w[group].transpose(2, 0, 1).reshape(self.w.shape[2], -1)
        projected = op.Add(op.MatMul(x, weights), self._projected_bias()[group].reshape(-1))
        shares = [
            op.Unsqueeze(self._reversed_in_time(part, d), [1])
            for part, d in zip(self._equal_parts(projected, 2, len(group)), group, strict=True)
        ]
        stacked = op.Concat(*shares, axis=1)
        state = [self._initial(5, group)]
        if self.node.op_type == "LSTM":
            state.append(self._initial(6, group))
        hidden = []
        for x_t in self._equal_parts(stacked, 0, static_shape(x)[0] or 0):
            state = self.step(op, cell, x_t, state)
            hidden.append(state[0])
        in_steps = self._equal_parts(op.Concat(*hidden, axis=0), 1, len(group))
        y = [self._reversed_in_time(part, d) for part, d in zip(in_steps, group, strict=True)]
        return [op.Concat(*y, axis=1), *state]

    def _reversed_in_time(self, value: ir.Value, direction: int) -> ir.Value:
        """Reverse the steps of ``value`` for a direction that runs from the last step to the first."""
        if direction == 0 and attribute(self.node, "direction", "forward") != "reverse":
            return value
        return self.op.Slice(value, [-1], [-(2**31)], [0], [-1])

    def _equal_parts(self, value: ir.Value, axis: int, count: int) -> Sequence[ir.Value]:
        size = (static_shape(value)[axis] or 0) // count
        return self.op.emit("Split", [value, [size] * count], {"axis": axis}, count)

    def _cell(self, group: list[int], activations: tuple[Activation, ...]) -> Cell:
        op, hidden, per_gate = self.op, self.hidden, (1, len(group), 1, self.hidden)
        recurrence = [self.r[group].swapaxes(1, 2)]
        if self.step is gru:
            recurrence = np.split(recurrence[0], [2 * hidden], axis=2)
        peepholes: list[Array] = []
        if not self._omitted(7):
            stacked = self._constant(7, "P").reshape(self.directions, 3, hidden)
            peepholes = [stacked[group, k].reshape(per_gate) for k in range(3)]
        return Cell(
            hidden=hidden,
            activations=activations,
            recurrence=tuple(map(op.constant, recurrence)),
            recurrent_bias=op.constant(self.b[group, 1, -hidden:].reshape(per_gate)),
            peepholes=tuple(map(op.constant, peepholes)),
            clip=attribute(self.node, "clip", 0.0),
            input_forget=attribute(self.node, "input_forget", 0) == 1,
        )

    def _projected_bias(self) -> Array:
        """Return Wb + Rb ``[D, G·H]``, without the part of Rb that the reset gate scales."""
        recurrent = self.b[:, 1].copy()
        if self.step is gru_linear_before_reset:
            recurrent[:, -self.hidden :] = 0
        total: Array = self.b[:, 0] + recurrent
        return total

    def _initial(self, index: int, group: list[int]) -> ir.Value:
        """Return the state before the first step, ``[1, D, N, H]``; for zeros N is 1 and broadcasts."""
        op = self.op
        known = None if self._omitted(index) else evaluated(self.node.inputs[index], op.opset)
        if self._omitted(index) or (known is not None and not known.any()):
            return op.constant(np.zeros((1, len(group), 1, self.hidden), self.w.dtype))
        value = operand(self.node, index)
        value = op.Unsqueeze(op.Transpose(value, perm=[1, 0, 2]) if self.swapped else value, [0])
        if len(group) == self.directions:
            return value
        return op.Slice(value, [group[0]], [group[0] + 1], [1])

    def _activations(self) -> list[tuple[Activation, ...]]:
        """Return the activations of each direction; parameters go to those that take them, in order."""
        node = self.node
        names = attribute(node, "activations", self.default_activations * self.directions)
        given = [iter(attribute(node, f"activation_{name}", [])) for name in ("alpha", "beta")]
        found = []
        for name in names:
            kind = ACTIVATIONS.get(name.lower())
            if kind is None:
                raise self._refusal(f"its activation {name!r} is not known")
            parameters: list[float] = []
            for values, default in zip(given, kind.defaults, strict=False):
                parameter = next(values, default)
                if parameter is None:
                    raise self._refusal(f"its activation {name!r} lacks a parameter")
                parameters.append(parameter)
            found.append(Activation(name.lower(), tuple(parameters)))
        each = len(self.default_activations)
        return [tuple(found[d * each : (d + 1) * each]) for d in range(self.directions)]

    def _check_steps(self, x: ir.Value) -> None:
        steps = static_shape(x)[0]
        if steps is None:
            raise self._refusal("the number of steps is not fixed")
        if steps > _MOST_STEPS:
            raise self._refusal(f"{steps} steps are more than the {_MOST_STEPS} that can be unrolled")
        if not self._omitted(4):
            lengths = evaluated(self.node.inputs[4], self.op.opset)
            if lengths is None or (lengths != steps).any():
                raise self._refusal(f"sequence_lens are not all {steps}, the number of steps")

    def _omitted(self, index: int) -> bool:
        return index >= len(self.node.inputs) or self.node.inputs[index] is None

    def _constant(self, index: int, name: str) -> Array:
        array = evaluated(operand(self.node, index), self.op.opset)
        if array is None:
            raise self._refusal(f"its weights {name} are not constant")
        return array

    def _refusal(self, why: str) -> UnsupportedOperatorError:
        return UnsupportedOperatorError(
            f"operator {self.node.op_type} cannot be unrolled: {why}",
            where=f"node {self.node.name!r}",
            hint="fix the model's input size with `size`, and export the model with constant shapes and "
            "weights; or explain an output in front of it with `output_name`",
        )
