"""The copies of the image whose gradients a method wants: noisy ones, the image itself, or a path to it.

All are ``x + σ·z`` with σ = noise_std · (max(x) − min(x)), so one graph computes them all and only z differs:
noise from the bank, zeros, or (α − 1)(x − baseline)/σ for the point at α on the way from the baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.noise import generator, normal
from gagrad_runtime.question.perturbation import parse_perturbations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import InputSpec
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.question.settings import Settings

    Array = NDArray[np.float32]


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


class Copies:
    """The copies of one image for one method."""

    def __init__(
        self, backend: Backend, bank: NoiseBank, spec: InputSpec, settings: Settings, image: Array
    ) -> None:
        self._backend, self._bank, self._settings = backend, bank, settings
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
        x = (image[0] - mean) / std
        self._rows: Array | None = None
        if settings.perturb:
            self._rows = parse_perturbations(settings.perturb).rows(settings.samples, settings.seed)
        self.count = 1 if settings.method.copies == "single" else settings.samples
        """How many there are."""
        self.noise_std = settings.noise_std if settings.method.copies == "noisy" else 1.0
        """The graph's input of that name."""
        self._distance = x - (np.float32(settings.baseline) - mean) / std
        self._spread = x.max() - x.min()
        self.times: Array = np.ones_like(x)
        """[C, H, W], what the mean gradient is to be multiplied by."""
        if settings.method.factor != "one":
            self.times = x if settings.method.factor == "input" else self._distance

    def inputs(self, start: int, rows: int) -> dict[str, Tensor]:
        """Return the inputs of ``accumulate`` for the copies ``start`` to ``start + rows``."""
        if self._settings.method.copies == "noisy":
            inputs = {"noise": self._bank.take(self._settings.seed, start, rows)}
            if self._rows is not None:
                inputs["perturbation"] = self._backend.upload(self._rows[start : start + rows])
            return inputs
        noise = np.zeros((rows, *self.times.shape), np.float32)
        if self._settings.method.copies == "path" and self._spread > 0:
            # The midpoint rule: its error falls with the square of the number of points.
            alpha = (np.arange(start, start + rows, dtype=np.float32) + np.float32(0.5)) / self.count
            noise = (alpha[:, None, None, None] - 1) * (self._distance / self._spread)
        return {"noise": self._backend.upload(noise)}
