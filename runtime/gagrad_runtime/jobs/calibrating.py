"""Calibration: all that is known of good parts, measured on images of them, into one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from gagrad_edge.atomic import check_writable
from gagrad_edge.cli import say
from gagrad_edge.errors import FrameError, InputError, ModelError, OutputError
from gagrad_runtime.explanation.comparing import raw_map, scale_key
from gagrad_runtime.explanation.scale import QUANTILE, GoodScale
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.jobs.explaining import expand, say_error
from gagrad_runtime.jobs.folders import with_images
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.reference import SUFFIX
from gagrad_runtime.reference.file import write_reference
from gagrad_runtime.reference.making import GoodParts, gradients_of, layout_content, wanted_classes
from gagrad_runtime.reference.reference import Reference
from gagrad_runtime.reference.words import found_lines
from gagrad_runtime.session.good import beside
from gagrad_runtime.session.noise import noise_level
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_edge.manifest import NoiseLevel
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.reference.image import GoodImage
    from gagrad_runtime.reference.layout import Layout
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]

MARGIN = 0.5
"""Of the threshold of anomaly scores, see ``threshold_of``."""
_MANY = 20
"""Parts from which one that is compared with itself makes no difference any more."""
GRADIENT_PARTS = 4
"""Good parts at which the gradient of each class is taken."""


class Highest:
    """The highest values of many maps, as many as their common quantile needs; the memory is bounded."""

    def __init__(self, quantile: float, maps: int) -> None:
        self._quantile, self._maps = quantile, maps
        self._values = np.zeros(0, np.float32)
        self._count = 0

    def add(self, values: Array) -> None:
        """Add one map, of at most ``maps`` of the same size."""
        self._count += values.size
        kept = int((1 - self._quantile) * values.size * self._maps) + 2
        joined = np.concatenate([self._values, values.ravel()])
        self._values = joined if joined.size <= kept else np.partition(joined, -kept)[-kept:]

    def value(self) -> float:
        """Return the quantile of all values, interpolated as ``numpy.quantile`` does."""
        rank = self._quantile * (self._count - 1) - (self._count - self._values.size)
        return float(np.interp(rank, np.arange(self._values.size), np.sort(self._values)))


def calibrate_images(
    bundle: Path,
    images: Sequence[str],
    output: Path | None = None,
    *,
    device: str,
    threads: int | None,
    trust: Path | None = None,
    target: str | None,
    settings: dict[str, Any],
) -> int:
    """Measure the good parts ``images`` (paths, folders or patterns), write the file, return the exit code.

    ``output`` is by default the file beside the bundle that ``load`` finds. A bad image is reported and left
    out. Raises FrameError when none is left, and what ``explain`` raises.
    """
    path = beside(bundle) if output is None else output
    if path.is_dir():
        raise OutputError("this is a folder", where=str(path), hint=f"give a file name, NAME{SUFFIX}")
    check_writable(path.parent)
    with (
        Progress() as progress,
        open_session(
            bundle, device, threads=threads, trust=trust, remember=True, progress=progress
        ) as session,
    ):
        paths = expand(with_images(images, session.explainer.manifest.input))
        made = _Calibration(session.explainer, session.bundle.sha256, paths, target, settings, progress)
        reference = made.reference()
    write_reference(path, reference)
    say(*found_lines(reference, made.parts, made.layout, len(paths), str(path)), err=True)
    return made.exit_code


@dataclass
class _Calibration:
    """One calibration: the good parts, and what was found so far."""

    explainer: Explainer
    sha256: str
    paths: list[str]
    target: str | None
    settings: dict[str, Any]
    progress: Progress
    exit_code: int = 0
    layout: Layout | None = None
    scores: list[float] = field(default_factory=list)
    """Of an anomaly scorer."""
    usable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parts = GoodParts(self.explainer.manifest.input)

    def reference(self) -> Reference:
        """Return what is known of the good parts. Raises FrameError when none of the images can be used."""
        for number, path in enumerate(self.paths):
            self.progress(number, len(self.paths), Path(path).name)
            self._add(path)
        if not self.usable:
            raise FrameError(
                "none of the images could be used, so nothing is known of good parts",
                where=", ".join(self.paths[:3]),
                hint="give images of good parts",
            )
        noise = noise_level(self.explainer, self.usable, progress=self.progress)
        self.explainer.use_noise(noise)
        self.layout = self.parts.find_layout()
        picture = None if self.layout is None else self._picture(self.layout, noise)
        found = self.parts.reference(self.explainer.manifest.name, self.sha256, picture)
        threshold = float(f"{threshold_of(self.scores):.6g}") if self.scores else None
        found = Reference(replace(found.content, noise=noise, threshold=threshold), picture)
        scale = self._scale(found)
        return Reference(replace(found.content, scale=scale), picture)

    def _add(self, path: str) -> None:
        """Look at one part: its frame, and what the model says of it."""
        spec = self.explainer.manifest.input
        try:
            frame = frame_for(spec, path)
            image, placement = prepare(frame, spec)
            said = self.explainer.reader.prediction(self.explainer.outputs(image), placement)
        except (InputError, ModelError) as error:
            self._report(path, error)
            return
        self.parts.add(frame, image, placement, said)
        self.usable.append(path)
        if said.task == "anomaly":
            self.scores.append(said.score or 0.0)

    def _picture(self, layout: Layout, noise: NoiseLevel) -> GoodImage:
        """Return the good image, with the gradient of each class where the classes are few."""
        classes = wanted_classes(self.explainer.manifest.output.shape)
        some = self.parts.names[:GRADIENT_PARTS]
        found: dict[int, list[Array]] = {index: [] for index in classes}
        for number, index in enumerate(classes):
            for path in some:
                self.progress(number, len(classes), f"class {index}")
                found[index].append(self._magnitude(path, index, noise))
        return self.parts.picture(layout, gradients=gradients_of(found, self.parts, layout))

    def _magnitude(self, path: str, index: int, noise: NoiseLevel) -> Array:
        """Return √Σ_c E[g²], [H, W], of the class ``index`` at one part."""
        made = self.explainer.explain(
            path,
            index,
            method="smoothgrad-squared",
            samples=_SAMPLES,
            noise_std=noise.noise_std,
            **_MAP_ONLY,
        )
        low, high = made.raw
        magnitude: Array = np.sqrt(np.maximum(low + made.saliency * np.float32(high - low), 0))
        return magnitude

    def _scale(self, reference: Reference) -> GoodScale | None:
        """Return what the maps of the good parts reach, each compared with the other parts."""
        highest, last, used = Highest(QUANTILE, len(self.usable)), None, 0
        for number, path in enumerate(self.usable):
            self.progress(number, len(self.usable), Path(path).name)
            self.explainer.use_reference(self._others(reference, path))
            try:
                last = self.explainer.explain(path, self.target, **{**self.settings, **_MAP_ONLY})
            except (InputError, ModelError) as error:
                self._report(path, error)
                continue
            if last.target.region is not None:  # areas differ in size, so their maps have no common scale
                return None
            highest.add(raw_map(last)[0])
            used += 1
        if last is None:
            raise FrameError(
                "none of the images could be explained, so nothing is known of good parts",
                where=", ".join(self.paths[:3]),
                hint="give images of good parts",
            )
        return _scale_of(last, self.target, used, highest.value())

    def _others(self, reference: Reference, path: str) -> Reference:
        """Return ``reference`` without the part ``path``: no part is compared with itself."""
        names = self.parts.names
        if self.layout is None or path not in names or reference.picture is None or len(names) > _MANY:
            return reference
        picture = self.parts.picture(
            self.layout, without=self.parts.names.index(path), gradients=reference.picture.gradients
        )
        return Reference(replace(reference.content, layout=layout_content(picture)), picture)

    def _report(self, path: str, error: InputError | ModelError) -> None:
        self.progress.clear()
        say_error(path, error)
        self.exit_code = max(self.exit_code, error.exit_code)


_SAMPLES = 5
"""Noisy copies at which a class's gradient is taken."""
_MAP_ONLY: dict[str, Any] = {"rcap": False, "cover": False}
"""Of the good parts' explanations only the maps are looked at."""


def threshold_of(scores: Sequence[float]) -> float:
    """Return the anomaly score from which a part is NG, by the scores of good parts.

    As far above their highest score as this is above their median, times ``MARGIN``: of n good parts the next
    one has a higher score than all with a chance of 1 / (n + 1), so the highest alone would be no limit.
    """
    highest, median = max(scores), float(np.median(scores))
    return highest + MARGIN * (highest - median)


def _scale_of(last: Explanation, target: str | None, images: int, value: float) -> GoodScale | None:
    """Return the scale of maps as ``last``; None where they are 0 everywhere: nothing to compare with."""
    if not value > 0:
        return None
    made = last.provenance
    return GoodScale(
        bundle=made.bundle,
        bundle_sha256=made.bundle_sha256,
        key=scale_key(last, named=target is not None),
        samples=made.samples,
        images=images,
        quantile=QUANTILE,
        value=float(str(np.float32(value))),
    )
