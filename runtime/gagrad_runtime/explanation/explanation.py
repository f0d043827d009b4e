"""What an explanation is: the map, what it explains, how far to trust it, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from gagrad_runtime.question.methods import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.manifest import Activation
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.explanation.regions import SalientRegion
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.report.roi import RoiVerdict
    from gagrad_runtime.report.scale import GoodScale
    from gagrad_runtime.sampling.estimation import Stop
    from gagrad_runtime.sampling.rcap import Rcap


@dataclass(frozen=True)
class Verdict:
    """What the model says of a frame, without a reason."""

    target: Target
    probability: float | None
    """None when the output is a plain score."""


@dataclass(frozen=True)
class Provenance:
    """What made an explanation, so that it can be made again."""

    bundle: str
    """Name of the bundle."""
    bundle_sha256: str
    backend: str
    """Engine and version, e.g. ``onnxruntime 1.32.0 (CPUExecutionProvider)``."""
    samples: int
    seed: int
    percentile: float
    noise_std: float
    chunk: int
    straight_through: int = 0
    """How many quantisers the gradient passes straight through."""
    float_twin: float | None = None
    """Rank correlation of the map with that of the model without rounding, as the exporter measured it."""
    method: str = DEFAULT
    guide: str = "paper"
    stopped: Stop = "samples"
    """Why there are no more samples: all were made, the map was stable enough, or the time was up."""
    perturbation: str = ""
    """What the copies were changed by beside noise, as it was given."""
    backend_notes: tuple[str, ...] = ()
    """What the engine did otherwise than asked: ``Backend.notes``."""


@dataclass(frozen=True)
class Explanation:
    """The answer to "what did the model look at?" for one frame and one target."""

    saliency: NDArray[np.float32]
    """[H, W] in 0..1 at the model's resolution."""
    scores: NDArray[np.float32]
    """[K…] of the unperturbed image, before the activation."""
    probabilities: NDArray[np.float32] | None
    """``scores`` after the activation; None when the output is a plain score."""
    activation: Activation
    target: Target
    predicted: Target
    """What the model says by itself; the default target."""
    rcap: Rcap
    cautions: tuple[Caution, ...]
    provenance: Provenance
    frame: Frame
    placement: Placement
    raw: tuple[float, float] = (0.0, 1.0)
    """What 0 and 1 of the map were before it was scaled, for one sample: what to compare frames by."""
    stability: float | None = None
    """Expected rank correlation of this map with one of as many other samples, 0..1; None where the method
    does not average, below 4 samples, and for a flat map. See docs/fidelity.md."""
    classes: tuple[str, ...] = ()
    """Names along the first axis of ``scores``; empty when they have none."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time per stage: ``decode``, ``predict``, ``trial`` (of chunk sizes), ``explain``, ``map``,
    ``stability``, ``rcap``."""
    roi: RoiVerdict | None = None
    """How much of the map keeps to a region of interest, when one was given."""
    good_scale: GoodScale | None = None
    """What good parts' maps reach, to colour by; None when the map scales itself."""

    @property
    def samples(self) -> int:
        """Number of perturbed copies the map was made from."""
        return self.provenance.samples

    @property
    def seed(self) -> int:
        """Seed of the noise bank."""
        return self.provenance.seed

    @property
    def probability(self) -> float | None:
        """Probability of the target; None when the output is a plain score."""
        return None if self.probabilities is None else self.target.reading(self.probabilities)

    @cached_property
    def regions(self) -> tuple[SalientRegion, ...]:
        """The salient places of the map, largest share first; see ``gagrad_runtime.explanation.regions``."""
        from gagrad_runtime.explanation.regions import salient_regions  # noqa: PLC0415 - needs OpenCV

        return salient_regions(self.saliency, self.placement)

    def saliency_on_frame(self) -> NDArray[np.float32]:
        """Return the map resampled to the frame's height and width, 0 where the model saw nothing."""
        return self.placement.to_frame(self.saliency)

    def save(
        self, directory: str | Path, *, stem: str | None = None, raw: tuple[str, ...] = ("png",)
    ) -> dict[str, Path]:
        """Write the result files to ``directory`` and return their paths by kind.

        ``picture`` is the overlay PNG, ``record`` the JSON record, and for each of ``raw`` (``png``: 16-bit,
        ``npy``: float32) the bare map. ``stem`` names the files and defaults to the frame's file name. Each
        file is written atomically. Raises OutputError.
        """
        from gagrad_runtime.report.report import save_results  # noqa: PLC0415 - pictures need OpenCV and Pillow

        return save_results(self, directory, stem=stem, raw=raw)
