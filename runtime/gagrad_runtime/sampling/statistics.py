"""The running statistics on the device, in two interleaved halves.

Chunks go to the first and the second half in turns. Each half alone gives a map, and the agreement of the two
maps gives the stability; at the end ``combine`` merges the two states into one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.abi import ABS_SUM, COUNT, FIRST, M2, MEAN, SCORES, SECOND, STATE, STATE_OUT
from gagrad_edge.method.reference import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.backend import Backend, Runner, Tensor

    Array = NDArray[np.float32]


def chunk_sizes(samples: int, chunk: int) -> list[int]:
    """Return the sizes of the chunks for ``samples``: at most ``chunk``, in as few pairs as possible.

    The sizes differ by at most one.
    """
    chunks = 2 * -(-samples // (2 * chunk))
    base, larger = divmod(samples, chunks)
    return [size for index in range(chunks) if (size := base + (index < larger))]


class Sampler:
    """State tensors on the device, reused from explanation to explanation; not for two threads at once."""

    def __init__(self, backend: Backend, combine: Runner, shape: tuple[int, int, int]) -> None:
        self._backend, self._combine, self._shape = backend, combine, shape
        zeros = backend.zeros(shape)
        self._zero = {name: backend.zeros(()) if name == COUNT else zeros for name in STATE}
        # Up to two sets of tensors for each half: a run reads one set and writes the other.
        self._states: list[list[dict[str, Tensor]]] = [[], []]

    def begin(self, accumulate: Runner, fixed: Mapping[str, Tensor]) -> None:
        """Start an explanation; ``fixed`` are the inputs of ``accumulate`` that all chunks share."""
        self._accumulate, self._fixed = accumulate, dict(fixed)
        self.restart()

    def restart(self) -> None:
        """Start again from zero samples."""
        self._current = [self._zero, self._zero]
        self.counts = [0, 0]
        self.chunks = 0

    def release_inputs(self) -> None:
        """Free the fixed inputs, so that the next explanation finds the same memory free."""
        self._fixed = {}

    @property
    def count(self) -> int:
        """Samples so far."""
        return sum(self.counts)

    def run(self, samples: int, inputs: Mapping[str, Tensor]) -> Array:
        """Run one chunk of ``samples`` for the half whose turn it is; return the scores ``[samples, K…]``."""
        half = self.chunks % 2
        into = self._other(half)
        outputs = self._accumulate.run(
            {**self._fixed, **inputs, **self._current[half]}, {STATE_OUT[name]: into[name] for name in STATE}
        )
        self._current[half] = into
        self.counts[half] += samples
        self.chunks += 1
        return self._backend.download(outputs[SCORES])

    def combined(self) -> dict[str, Tensor]:
        """Return the state of all samples, on the device."""
        halves = zip((FIRST, SECOND), self._current, strict=True)
        return self._combine.run({names[name]: state[name] for names, state in halves for name in STATE})

    @property
    def half_tensors(self) -> list[dict[str, Tensor]]:
        """The states of the halves, on the device."""
        return list(self._current)

    def halves(self) -> tuple[State, State]:
        """Return the states of the halves, on the host."""
        first, second = (
            State(count, *(self._backend.download(state[name]) for name in (ABS_SUM, MEAN, M2)))
            for count, state in zip(self.counts, self._current, strict=True)
        )
        return first, second

    def _other(self, half: int) -> dict[str, Tensor]:
        """Return a set of tensors that the half does not hold its state in."""
        for state in self._states[half]:
            if state is not self._current[half]:
                return state
        new = {name: self._backend.zeros(() if name == COUNT else self._shape) for name in STATE}
        self._states[half].append(new)
        return new
