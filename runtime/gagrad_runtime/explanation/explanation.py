"""Explanation: the map of what the model looked at, with what is known of it."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gagrad_runtime.explanation.presentation import present
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.question.methods import PAPER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.output import Activation
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.sampling.estimation import Stop
    from gagrad_runtime.sampling.rcap import Rcap


@dataclass(frozen=True)
class Provenance:
    """What made an explanation, so that it can be made again: bundle, engine and settings."""

    bundle: str
    """Name of the bundle."""
    bundle_sha256: str
    """SHA-256 of the bundle's bytes, in hex."""
    backend: str
    """Engine and version, e.g. ``onnxruntime 1.32.0 (CPUExecutionProvider)``."""
    samples: int
    """Number of samples (perturbed copies of the model input) that the map was made from."""
    seed: int
    """Seed of the noise bank."""
    percentile: float
    """Percentile of the guide, 0..1."""
    noise_std: float
    """Standard deviation of the noise relative to the model input's range."""
    chunk: int
    """Samples in one run of the graph."""
    straight_through: int = 0
    """Number of quantisers that the gradient passes straight through."""
    float_twin: float | None = None
    """Rank correlation of the map with the map of the model without rounding, as the exporter measured on the
    bundle's frame; None for a float model."""
    preset: str = "paper"
    """Name of the preset: ``operator`` or ``paper``."""
    method: str = PAPER
    """Name of the method."""
    guide: str = "paper"
    """Name of the guide."""
    stopped: Stop = "samples"
    """Why sampling ended: all samples were made, the map was stable enough, or the time was up."""
    perturbation: str = ""
    """What the samples were changed by beside noise, as it was given."""
    baseline: float | None = None
    """Pixel value, 0..1, where the path of integrated gradients began; None for the other methods."""
    good_sha256: str | None = None
    """SHA-256 of what is known of good parts, where the explanation was compared with them."""
    good_image: bool = False
    """Whether the map compares the part with the image of good parts."""
    backend_notes: tuple[str, ...] = ()
    """What the engine did otherwise than asked: ``Backend.notes``."""
    notes: tuple[str, ...] = ()
    """What was done otherwise than the method says, such as a map without class activation."""


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """The saliency map of one frame and one target, with its RCAP, its stability and its cautions.

    An explanation holds values only and never changes. A region of interest belongs to a ``Report`` of the
    explanation.
    """

    saliency: NDArray[np.float32]
    """[H, W] in 0..1 at the model's resolution."""
    scores: NDArray[np.float32]
    """[K…] of the unperturbed image, before the activation."""
    probabilities: NDArray[np.float32] | None
    """``scores`` after the activation; None when the output is a plain score."""
    activation: Activation
    """Function from scores to probabilities: ``softmax``, ``sigmoid`` or ``none``."""
    target: Target
    """What is explained."""
    predicted: Target
    """What the model says by itself; the default target."""
    rcap: Rcap | None
    """ReCover And Predict: the score of the map, with its curve; None where it was not asked for."""
    cautions: tuple[Caution, ...]
    """What to know before trusting the map, the gravest first; empty when all is well."""
    provenance: Provenance
    """Bundle, engine and settings that made the map."""
    frame: Frame
    """The frame that is explained."""
    placement: Placement
    """Where the frame is in the model's image."""
    received: NDArray[np.uint8] | None = None
    """The model's image as people see it, before mean and std: [H, W] grey, or [H, W, 3] as red, green and
    blue; None for a map that is made by hand."""
    prediction: Prediction | None = None
    """All that the model says of the frame, whatever is explained; None for a map that is made by hand."""
    places: tuple[Place, ...] = ()
    """Where the map points, numbered from 1 in this order; empty for a flat map."""
    covering: Covering | None = None
    """What the model says when places are covered; None where it was not asked."""
    place_stability: float | None = None
    """How often parts of the samples agree on place 1, 0..1; None where it is not measured."""
    copies_kept: float | None = None
    """Share of the noisy copies that keep the image's answer, 0..1; None where that is not known."""
    raw: tuple[float, float] = (0.0, 1.0)
    """The map's lowest and highest value before scaling to 0..1, per sample: comparable between frames."""
    scale: GoodScale | None = None
    """What the maps of good parts reach; None where nobody has measured it for this method and target."""
    stability: float | None = None
    """Expected rank correlation of this map with one of as many other samples, 0..1; None where the method
    does not average, below 4 samples, and for a flat map. See docs/fidelity.md."""
    classes: tuple[str, ...] = ()
    """Names along the first axis of ``scores``; empty when they have none."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time per stage: ``decode``, ``predict``, ``trial`` (of chunk sizes), ``activation``, ``explain``,
    ``map``, ``stability``, ``rcap``, ``covering``."""
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    """Time in UTC when the explanation was made; every record of the explanation has this time."""

    @property
    def samples(self) -> int:
        """Number of samples that the map was made from."""
        return self.provenance.samples

    @property
    def seed(self) -> int:
        """Seed of the noise bank."""
        return self.provenance.seed

    @property
    def probability(self) -> float | None:
        """Probability of the target, 0..1; None when the output is a plain score."""
        return None if self.probabilities is None else self.target.probability(self.probabilities)

    def saliency_on_frame(self) -> NDArray[np.float32]:
        """Return the map resampled to the frame's height and width, 0 where the model saw nothing."""
        return self.placement.to_frame(self.saliency)

    def picture(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 RGB [h, w, 3]: the frame, the map over it, the scale and the words."""
        return present(self).picture()

    def record(self) -> dict[str, Any]:
        """Return the record that ``save`` writes as JSON, without names of files; see docs/record.md."""
        return present(self).record()

    def save(
        self,
        directory: str | Path,
        *,
        stem: str | None = None,
        raw: tuple[str, ...] = ("png",),
        full: bool = False,
        replace: bool = False,
    ) -> dict[str, Path]:
        """Write the result files to ``directory`` and return their paths by kind.

        ``picture`` is the overlay PNG, ``record`` the JSON record, and for each of ``raw`` (``png``: 16-bit,
        ``npy``: float32) the bare map; with ``full`` also the map over the frame and the bare map at the
        frame's size. The names are made of the frame's name, the target where the model
        says something else, and the method where it is not the default; files of another explanation are
        never replaced, see ``Report.save``. Each file is written atomically. Raises OutputError and
        SettingError.
        """
        return present(self).save(directory, stem=stem, raw=raw, full=full, replace=replace)

    def show(self) -> None:
        """Show the picture: in the notebook, else in the image viewer of the desktop.

        Raises OutputError where there is neither; ``save`` writes the picture to a file.
        """
        present(self).show()

    def _repr_png_(self) -> bytes:
        """Return the picture as PNG: a notebook shows it for an explanation at the end of a cell."""
        return present(self).png()

    def __repr__(self) -> str:
        chance = "" if self.probability is None else f" {percent(self.probability)}"
        explained = f"{reprlib.repr(str(self.target))}{chance}"
        if self.prediction is not None and self.prediction.score is not None:
            explained = self.prediction.answer
        figures = [explained]
        if self.rcap is not None:
            figures.append(f"RCAP {self.rcap.score:.2f}")
        if self.stability is not None:
            figures.append(f"stability {self.stability:.2f}")
        figures.append(f"{self.samples} samples")
        if self.cautions:
            figures.append(f"{len(self.cautions)} caution" + ("s" if len(self.cautions) > 1 else ""))
        height, width = self.saliency.shape
        figures.append(f"map {height} high, {width} wide of {reprlib.repr(self.frame.name)}")
        return f"Explanation({', '.join(figures)})"
