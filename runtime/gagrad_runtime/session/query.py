"""A question about one frame, on its way to the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.backend import Tensor
    from gagrad_runtime.explanation.explanation import Target
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.sampling.estimation import Stop
    from gagrad_runtime.sampling.saliency import Saliency
    from gagrad_runtime.sampling.samples import Copies

    Array = NDArray[np.float32]


class Query(NamedTuple):
    """What is asked of one frame, and what the model says to it."""

    settings: Settings
    frame: Frame
    placement: Placement
    device_image: Tensor
    copies: Copies
    scores: Array
    """[K…]"""
    target: Target
    clock: Clock


class Answer(NamedTuple):
    """The map, and what it was made from."""

    saliency: Saliency
    samples: int = 1
    chunk: int = 1
    stopped: Stop = "samples"
    stability: float | None = None
    extremes: tuple[Array, Array] | None = None
    """Smallest and largest scores ``[K…]`` among the copies."""


class Clock:
    """Wall time per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.began = self._last = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def lap(self, stage: str) -> None:
        """End a stage; one that comes again adds up."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
