"""Outputs: what ``predict`` gives for some images, on the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import ANOMALY_MAP, BOXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """The scores of N images, and what else the graph gives of them."""

    scores: Array
    """[N, K…], before the activation."""
    beside: Mapping[str, Array] = field(default_factory=dict)
    """The other outputs, [N, …] each, by the ABI's name."""

    @property
    def boxes(self) -> Array:
        """[N, A, 4]: left, top, right, bottom in pixels of the model's image. KeyError without boxes."""
        return self.beside[BOXES]

    @property
    def anomaly_map(self) -> Array | None:
        """[N, h, w], an anomaly scorer's map beside the score; None where there is none."""
        return self.beside.get(ANOMALY_MAP)

    def __len__(self) -> int:
        return len(self.scores)

    def row(self, index: int) -> Outputs:
        """Return the outputs of one image, still with the axis N."""
        part = slice(index, index + 1)
        return Outputs(self.scores[part], {name: values[part] for name, values in self.beside.items()})


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of several runs as those of one."""
    if len(parts) == 1:
        return parts[0]
    return Outputs(
        np.concatenate([part.scores for part in parts]),
        {name: np.concatenate([part.beside[name] for part in parts]) for name in parts[0].beside},
    )
