"""The input of an estimator: the statistics of the two interleaved halves of the samples, and the picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.reference import State, accumulate, combine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PERCENTILE = 0.85


@dataclass(frozen=True)
class Evidence:
    """The statistics of the even and of the odd samples, ``image [3, H, W]`` and its gradient ``[3, H, W]``."""

    even: State
    odd: State
    image: Array
    clean: Array

    @cached_property
    def state(self) -> State:
        """The statistics of all samples."""
        return combine(self.even, self.odd)

    @property
    def count(self) -> int:
        """The number of samples, T."""
        return self.state.count

    @property
    def magnitude(self) -> Array:
        """A/T = mean |g|, per channel."""
        return self.state.abs_sum / np.float32(self.count)

    @property
    def variance(self) -> Array:
        """V = Var(g) with divisor T − 1, per channel."""
        return self.state.m2 / np.float32(max(self.count - 1, 1))

    def half(self, state: State) -> Evidence:
        """Return the evidence of one half of the samples alone."""
        return Evidence(state, State.empty(state.mean.shape), self.image, self.clean)


def prefixes(gradients: Iterable[Array], counts: Sequence[int]) -> dict[int, tuple[State, State]]:
    """Return T → statistics of the even and of the odd samples among the first T ``gradients``."""
    found: dict[int, tuple[State, State]] = {}
    halves: list[State] = []
    for index, gradient in enumerate(gradients):
        halves = halves or [State.empty(gradient.shape), State.empty(gradient.shape)]
        halves[index % 2] = accumulate(halves[index % 2], gradient[None])
        if index + 1 in counts:
            found[index + 1] = (halves[0], halves[1])
        if index + 1 == max(counts):
            break
    return found


def thresholds(values: Array) -> Array:
    """Return the quantile of each channel as ``[C, 1, 1]``."""
    found: Array = np.quantile(values.reshape(len(values), -1), PERCENTILE, axis=1)
    return found.astype(np.float32)[:, None, None]
