"""The samples whose gradients a method averages: noisy ones, the model input, or points on a path to it.

Each sample is ``x + σ·z`` with σ = noise_std · (max(x) − min(x)), so one graph computes them all and only z
differs: noise from the bank, zeros, or (α − 1)(x − baseline)/σ for the point at α on the path from the
baseline to x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import NOISE, PERTURBATION
from gagrad_edge.method.noise import generator, normal
from gagrad_runtime.question.perturbation import parse_perturbations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.backend import Backend, Tensor
    from gagrad_runtime.question.settings import Settings

    Array = NDArray[np.float32]


class NoiseBank:
    """Chunks of the noise bank as tensors on the device.

    Chunks within the first ``keep`` samples are kept there; later chunks are drawn when they are needed, so
    that memory does not grow with the number of samples.
    """

    def __init__(self, backend: Backend, shape: tuple[int, int, int], keep: int) -> None:
        self._backend, self._shape, self._keep = backend, shape, keep
        self._kept: dict[tuple[int, int], Tensor] = {}
        self._seed = -1
        self._generator = np.random.Generator(np.random.Philox(0))
        self._position = 0

    def take(self, seed: int, start: int, number: int) -> Tensor:
        """Return samples ``start`` to ``start + number`` of the bank of ``seed``, ``[number, C, H, W]``."""
        if seed != self._seed:
            self._kept.clear()
            self._restart(seed)
        if (start, number) in self._kept:
            return self._kept[start, number]
        if start < self._position:
            self._restart(seed)
        while self._position < start:
            self._draw(min(start - self._position, number))
        tensor = self._backend.upload(self._draw(number))
        if start + number <= self._keep:
            if sum(kept for _, kept in self._kept) + number > self._keep:
                self._kept.clear()  # chunks of another size
            self._kept[start, number] = tensor
        return tensor

    def _restart(self, seed: int) -> None:
        self._seed, self._position, self._generator = seed, 0, generator(seed)

    def _draw(self, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self._position += number
        return normal(self._generator, number, self._shape)


class Samples:
    """The samples of one image for one method: how many there are, and the inputs that make them."""

    def __init__(
        self, backend: Backend, bank: NoiseBank, spec: InputSpec, settings: Settings, image: Array
    ) -> None:
        self._backend, self._bank, self._settings = backend, bank, settings
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
        x = (image[0] - mean) / std
        self._ranges = parse_perturbations(settings.perturb) if settings.perturb else None
        self._perturbations: Array | None = None
        self.count = 1 if settings.method.samples_at == "single" else settings.samples
        """Number of samples."""
        self.noise_std = settings.noise_std if settings.method.samples_at == "noisy" else 1.0
        """Noise level, the input of ``accumulate``."""
        self._distance = x - (np.float32(settings.baseline) - mean) / std
        self._spread = x.max() - x.min()
        self.multiplier: Array = np.ones_like(x)
        """[C, H, W], what the mean gradient is multiplied by: ones, x, or x − baseline."""
        if settings.method.factor != "one":
            self.multiplier = x if settings.method.factor == "input" else self._distance

    def inputs(self, start: int, number: int) -> dict[str, Tensor]:
        """Return the inputs of ``accumulate`` for the samples ``start`` to ``start + number``."""
        if self._settings.method.samples_at == "noisy":
            inputs = {NOISE: self._bank.take(self._settings.seed, start, number)}
            if self._ranges is not None:
                known = self._perturbations
                if known is None or len(known) < start + number:  # a trial of chunks may take more samples
                    known = self._ranges.rows(max(self.count, start + number), self._settings.seed)
                    self._perturbations = known
                inputs[PERTURBATION] = self._backend.upload(known[start : start + number])
            return inputs
        noise = np.zeros((number, *self.multiplier.shape), np.float32)
        if self._settings.method.samples_at == "path" and self._spread > 0:
            # The midpoint rule: its error falls with the square of the number of points.
            alpha = (np.arange(start, start + number, dtype=np.float32) + np.float32(0.5)) / self.count
            noise = (alpha[:, None, None, None] - 1) * (self._distance / self._spread)
        return {NOISE: self._backend.upload(noise)}
