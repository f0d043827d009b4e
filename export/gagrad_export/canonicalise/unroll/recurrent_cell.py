"""One time step of LSTM, GRU and RNN, for one direction or both at once.

Letters as in ONNX's definition of the operators: gates i, o, f, c or z, r, h; weights W, R, P. Values are
``[1, D, N, …]`` with D directions, so that a product with R ``[D, H, G·H]`` does all of them in one node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from gagrad_export.emit import Op

State: TypeAlias = "list[ir.Value]"
"""[h] or [h, c]."""


@dataclass(frozen=True)
class Activation:
    """An activation of ONNX's list, with its parameters."""

    name: str
    """In lower case: engines read the names so."""
    parameters: tuple[float, ...]
    """(), (α,) or (α, β)."""

    def __call__(self, op: Op, x: ir.Value) -> ir.Value:
        """Emit the activation of ``x``."""
        return ACTIVATIONS[self.name].emit(op, x, *self.parameters)


@dataclass(frozen=True)
class ActivationKind:
    """The function that writes an activation, and the defaults of its parameters α and β.

    A default is None where engines disagree about it.
    """

    emit: Callable[..., ir.Value]
    defaults: tuple[float | None, ...] = ()


ACTIVATIONS = {
    "affine": ActivationKind(lambda op, x, alpha, beta: op.Add(op.Mul(x, alpha), beta), (None, None)),
    "elu": ActivationKind(lambda op, x, alpha: op.Elu(x, alpha=alpha), (1.0,)),
    "hardsigmoid": ActivationKind(
        lambda op, x, alpha, beta: op.HardSigmoid(x, alpha=alpha, beta=beta), (0.2, 0.5)
    ),
    "leakyrelu": ActivationKind(lambda op, x, alpha: op.LeakyRelu(x, alpha=alpha), (0.01,)),
    "relu": ActivationKind(lambda op, x: op.Relu(x)),
    "scaledtanh": ActivationKind(
        lambda op, x, alpha, beta: op.Mul(op.Tanh(op.Mul(x, beta)), alpha), (None, None)
    ),
    "sigmoid": ActivationKind(lambda op, x: op.Sigmoid(x)),
    "softplus": ActivationKind(lambda op, x: op.Softplus(x)),
    "softsign": ActivationKind(lambda op, x: op.Softsign(x)),
    "tanh": ActivationKind(lambda op, x: op.Tanh(x)),
    "thresholdedrelu": ActivationKind(lambda op, x, alpha: op.ThresholdedRelu(x, alpha=alpha), (None,)),
}


@dataclass(frozen=True)
class Cell:
    """The weights and settings that every step shares."""

    hidden: int
    """H."""
    activations: tuple[Activation, ...]
    recurrence: tuple[ir.Value, ...]
    """Rᵀ ``[D, H, G·H]``; for a GRU that resets before the product, the columns of z and r and those of h."""
    recurrent_bias: ir.Value
    """The part of Rb that a GRU's reset gate scales, ``[1, D, 1, H]``."""
    peepholes: tuple[ir.Value, ...]
    """P for i, o and f, each ``[1, D, 1, H]``; empty without."""
    clip: float
    """0 for no limit."""
    input_forget: bool

    def gate(self, op: Op, x: ir.Value, activation: int) -> ir.Value:
        """Return the activation of ``x``, limited to ±clip before it."""
        return self.activations[activation](op, op.Clip(x, -self.clip, self.clip) if self.clip else x)

    def parts(self, op: Op, gates: ir.Value, *counts: int) -> Sequence[ir.Value]:
        """Split the last axis into parts of as many gates as ``counts`` say."""
        sizes = [count * self.hidden for count in counts]
        return op.emit("Split", [gates, sizes], {"axis": -1}, len(sizes))


def lstm(op: Op, cell: Cell, x: ir.Value, state: State) -> State:
    """i = f(x + hR + P∘c), f likewise; c′ = f∘c + i∘g(x + hR); o = f(x + hR + P∘c′); h′ = o∘h(c′).

    c′ is not clipped on its way to h, though ONNX's text can be read so: ONNX Runtime does not.
    """
    h, c = state
    i, o, f, g = cell.parts(op, op.Add(x, op.MatMul(h, *cell.recurrence)), 1, 1, 1, 1)
    if cell.peepholes:
        i, f = (op.Add(gate, op.Mul(c, cell.peepholes[k])) for gate, k in ((i, 0), (f, 2)))
    i = cell.gate(op, i, 0)
    f = op.Sub(1.0, i) if cell.input_forget else cell.gate(op, f, 0)
    c = op.Add(op.Mul(f, c), op.Mul(i, cell.gate(op, g, 1)))
    if cell.peepholes:
        o = op.Add(o, op.Mul(c, cell.peepholes[1]))
    return [op.Mul(cell.gate(op, o, 0), cell.activations[2](op, c)), c]


def gru(op: Op, cell: Cell, x: ir.Value, state: State) -> State:
    """z, r = f(x + hR); g = g(x + (r∘h)R); h′ = g + z∘(h − g)."""
    (h,) = state
    gates, new = cell.parts(op, x, 2, 1)
    z, r = cell.parts(op, op.Add(gates, op.MatMul(h, cell.recurrence[0])), 1, 1)
    z, r = cell.gate(op, z, 0), cell.gate(op, r, 0)
    g = cell.gate(op, op.Add(new, op.MatMul(op.Mul(r, h), cell.recurrence[1])), 1)
    return [op.Add(g, op.Mul(z, op.Sub(h, g)))]


def gru_linear_before_reset(op: Op, cell: Cell, x: ir.Value, state: State) -> State:
    """z, r = f(x + hR); g = g(x + r∘(hR + Rb)); h′ = g + z∘(h − g)."""
    (h,) = state
    gates, new = cell.parts(op, x, 2, 1)
    recurrent_gates, recurrent_new = cell.parts(op, op.MatMul(h, *cell.recurrence), 2, 1)
    z, r = cell.parts(op, op.Add(gates, recurrent_gates), 1, 1)
    z, r = cell.gate(op, z, 0), cell.gate(op, r, 0)
    g = cell.gate(op, op.Add(new, op.Mul(r, op.Add(recurrent_new, cell.recurrent_bias))), 1)
    return [op.Add(g, op.Mul(z, op.Sub(h, g)))]


def rnn(op: Op, cell: Cell, x: ir.Value, state: State) -> State:
    """h′ = f(x + hR)."""
    return [cell.gate(op, op.Add(x, op.MatMul(state[0], *cell.recurrence)), 0)]
