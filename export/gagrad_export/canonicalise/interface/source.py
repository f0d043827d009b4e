"""How to feed and read the model as it was given, to compare it with its canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_export.canonicalise.batch.place import Place
    from gagrad_export.canonicalise.interface.activation import Steps


@dataclass(frozen=True)
class SourceInput:
    """How to feed the model as it was given, to compare it with the canonical one."""

    name: str
    dtype: ir.DataType
    batch: int
    """Rows that the model takes at a time; 1 where it takes any number."""
    fixed_batch: bool
    channels_last: bool
    shape: tuple[int, int, int]
    """(C, H, W)."""
    constants: Mapping[str, NDArray[np.generic]]
    """The other inputs."""

    @property
    def pixels(self) -> bool:
        """Whether the model takes uint8 pixels and does its own normalisation."""
        return self.dtype == ir.DataType.UINT8

    def feed(self, x: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Return the inputs for one model input ``x [1, C, H, W]``, the same for every row."""
        rows = np.repeat(x.transpose(0, 2, 3, 1) if self.channels_last else x, self.batch, axis=0)
        values = np.rint(rows * 255) if self.pixels else rows
        return {self.name: values.astype(self.dtype.numpy()), **self.constants}


@dataclass(frozen=True)
class SourceOutput:
    """How to read the model as it was given, to compare it with the canonical one."""

    name: str
    activation: str | None
    """Operator of the activation that the canonical form took off: Softmax, LogSoftmax, Sigmoid."""
    shape: tuple[int, ...]
    """For the batch that the model takes at a time."""
    batch: int
    place: Place
    """Where the batch lies in ``shape``."""
    class_axis: int
    """Axis of a row that holds the classes."""
    behind: Steps = ()
    """Arithmetic behind the activation that the canonical form took off with it."""

    def row(self, output: NDArray[Any]) -> NDArray[np.float32]:
        """Return one row ``[K…]`` of the model's output."""
        parts = output.reshape(self.place.split(self.shape, self.batch))
        row = parts.take(0, self.place.axis + 1).reshape(self.place.row(self.shape))
        row = np.moveaxis(row, self.class_axis, 0) if row.ndim else row.reshape(1)
        scores: NDArray[np.float32] = row.astype(np.float32)
        return scores
