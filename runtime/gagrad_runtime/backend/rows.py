"""A graph whose batch is run one image at a time, for an engine that computes wrong numbers in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.backend.base import Runner, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_runtime.backend.base import Backend


class RowByRow(Runner):
    """Splits each input along its first axis, runs the parts, and joins their outputs, on the host."""

    def __init__(self, backend: Backend, runner: Runner) -> None:
        super().__init__(runner.graph, list(runner.inputs.values()), list(runner.outputs.values()))
        self._backend, self._runner = backend, runner

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if into:
            raise ValueError("a graph that runs row by row has new tensors for its outputs, not the caller's")
        arrays = {name: self._backend.download(tensor) for name, tensor in inputs.items()}
        (rows,) = {len(array) for array in arrays.values()}
        joined: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for row in range(rows):
            one = {name: self._backend.upload(array[row : row + 1]) for name, array in arrays.items()}
            for name, tensor in self._runner.run(one).items():
                joined[name].append(self._backend.download(tensor))
        return {name: self._backend.upload(np.concatenate(parts)) for name, parts in joined.items()}
