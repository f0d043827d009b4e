"""One measurement: an image explained with one method, and every metric of the explanation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import RoiError, SettingError
from gagrad_edge.statistics import rank_correlation
from gagrad_runtime.evaluate import metrics
from gagrad_runtime.evaluate.curves import deletion_curve, insertion_curve
from gagrad_runtime.evaluate.table import Row
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.presets import PRESETS
from gagrad_runtime.report.roi import read_mask
from gagrad_runtime.report.thumbnail import map_thumbnail

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Variant:
    """A preset, a method, or a method and its guide: ``operator``, ``guided-absolutegrad/relative``."""

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of ``Explainer.explain``; nothing is covered, as no metric here asks for that."""
        if self.name in PRESETS:
            return {"preset": self.name, "rcap": True, "cover": False}
        method, _, guide = self.name.partition("/")
        return {"method": method, "guide": guide or None, "rcap": True, "cover": False}


@dataclass(frozen=True)
class Bench:
    """The explainers and settings of a study."""

    explainer: Explainer
    randomized: Explainer | None
    """The same model with random weights."""
    target: str | None
    settings: dict[str, Any]
    """``samples`` and ``seed``."""

    def measure(self, frame: Frame, name: str, mask: Mask | None, variant: Variant) -> tuple[Row, bytes]:
        """Return the row of ``frame`` (called ``name``) and the thumbnail of its map.

        ``mask [H, W]``, in frame pixels, is where the known defect is. Raises what ``explain`` raises.
        """
        settings = {**self.settings, **variant.settings}
        made = self.explainer.explain(frame, self.target, **settings)
        on_frame = made.saliency_on_frame()
        insertion, deletion = self._curves(made)
        row = Row(
            image=name,
            method=variant.name,
            target=str(made.target),
            probability=made.probability,
            mass=None if mask is None else metrics.mass_on_mask(on_frame, mask),
            concentration=None if mask is None else metrics.concentration(on_frame, mask),
            pointing=None if mask is None else metrics.pointing_game(on_frame, mask),
            rcap=_finite(made.rcap.score) if made.rcap is not None else None,
            insertion=_finite(metrics.area_under_curve(insertion)),
            deletion=_finite(metrics.area_under_curve(deletion)),
            stability=made.stability,
            randomisation=self._randomisation(made, settings),
            seconds=sum(time for stage, time in made.seconds.items() if stage != "trial"),
            insertion_curve=[round(float(value), 6) for value in insertion],
            deletion_curve=[round(float(value), 6) for value in deletion],
        )
        return row, map_thumbnail(made)

    def _curves(self, made: Explanation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        spec = self.explainer.manifest.input
        image = prepare(made.frame, spec)[0][0]
        order = metrics.pixel_order(made.saliency)
        sure = partial(_confidence, self.explainer, made, self.explainer.outputs(image[None]))
        return insertion_curve(image, order, sure), deletion_curve(image, order, spec.mean, sure)

    def _randomisation(self, made: Explanation, settings: dict[str, Any]) -> float | None:
        """Return the rank correlation with the map of the random model, for the same output."""
        if self.randomized is None:
            return None
        other = self.randomized.explain(made.frame, made.target.index, **settings)
        return rank_correlation(made.saliency, other.saliency)


def check_randomized(explainer: Explainer, randomized: Explainer) -> None:
    """Raise SettingError unless both bundles have the same input and output, and other weights."""
    ours, theirs = explainer.manifest, randomized.manifest
    if _predict_sha256(ours) == _predict_sha256(theirs):
        what = "is of the same model, and not of one with random weights"
    elif ours.input != theirs.input:
        what = "takes other images: its size, colours, normalisation or resizing differ"
    elif ours.output.shape != theirs.output.shape:
        what = f"has an output of shape {theirs.output.shape} and the model {ours.output.shape}"
    else:
        return
    raise SettingError(
        f"this bundle {what}",
        where="randomized",
        hint="`gagrad-edge export --randomize 1` with the options of the first export makes it",
    )


def _predict_sha256(manifest: Manifest) -> str:
    # The model's own hash is that of the file before its weights were shuffled.
    graph = next(graph for graph in manifest.graphs if graph.role == "predict")
    return manifest.files[graph.file].sha256


def mask_of(frame: Frame, path: Path, margin: float) -> Mask | None:
    """Return the defect's mask in the file ``path``, widened by ``margin`` frame pixels.

    None where there is no such file, or nothing in it. Raises RoiError for another size than the frame's.
    """
    if not path.is_file():
        return None
    mask = read_mask(path)
    if mask.shape != (frame.height, frame.width):
        raise RoiError(
            f"the mask is {mask.shape[0]} high and {mask.shape[1]} wide, its image {frame.height} high and "
            f"{frame.width} wide",
            where=str(path),
            hint="masks are of their images' size",
        )
    return metrics.widened(mask, margin) if mask.any() else None


def _confidence(
    explainer: Explainer, made: Explanation, original: Outputs, images: Array
) -> NDArray[np.float64]:
    outputs = explainer.outputs(np.ascontiguousarray(images, np.float32))
    return explainer.reader.confidence(outputs, original, made.target)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
