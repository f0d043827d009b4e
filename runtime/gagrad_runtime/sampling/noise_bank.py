"""The noise bank on the device: what the usual explanation needs stays there from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.noise import generator, normal

if TYPE_CHECKING:
    from gagrad_runtime.backend import Backend, Tensor


class NoiseBank:
    """Chunks of the standard-normal bank as device tensors.

    Chunks within the first ``keep`` samples are kept; later ones are drawn when they are needed, so memory
    does not grow with the number of samples.
    """

    def __init__(self, backend: Backend, shape: tuple[int, int, int], keep: int) -> None:
        self._backend, self._shape, self._keep = backend, shape, keep
        self._kept: dict[tuple[int, int], Tensor] = {}
        self._seed = -1
        self._generator = np.random.Generator(np.random.Philox(0))
        self._position = 0

    def take(self, seed: int, start: int, rows: int) -> Tensor:
        """Return samples ``start`` to ``start + rows`` of the bank of ``seed`` as ``[rows, C, H, W]``."""
        if seed != self._seed:
            self._kept.clear()
            self._restart(seed)
        if (start, rows) in self._kept:
            return self._kept[start, rows]
        if start < self._position:
            self._restart(seed)
        while self._position < start:
            self._draw(min(start - self._position, rows))
        tensor = self._backend.upload(self._draw(rows))
        if start + rows <= self._keep:
            if sum(kept for _, kept in self._kept) + rows > self._keep:
                self._kept.clear()  # chunks of another size
            self._kept[start, rows] = tensor
        return tensor

    def _restart(self, seed: int) -> None:
        self._seed, self._position, self._generator = seed, 0, generator(seed)

    def _draw(self, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self._position += rows
        return normal(self._generator, rows, self._shape)
