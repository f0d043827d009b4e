"""Calibration: the colour scale of a bundle, measured on good parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.atomic import check_writable
from gagrad_edge.cli import say
from gagrad_edge.errors import FrameError, InputError, ModelError
from gagrad_edge.summary import counted
from gagrad_runtime.jobs.explaining import expand, say_error
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.report.scale import QUANTILE, GoodScale, raw_map, scale_key, write_scale
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

    Array = NDArray[np.float32]

FEW = 10
"""With fewer good parts the scale depends on these parts more than on the line."""


MARGIN = 0.5
"""Of the threshold of anomaly scores, see ``threshold_of``."""


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
    output: Path,
    *,
    device: str,
    threads: int | None,
    trust: Path | None = None,
    target: str | None,
    settings: dict[str, Any],
) -> int:
    """Explain the good parts ``images`` (paths or patterns), write their scale, return the exit code.

    A bad image is reported and left out. Raises FrameError when none is left, and what ``explain`` raises.
    """
    check_writable(output.parent)
    paths = expand(images)
    highest, last, used, code = Highest(QUANTILE, len(paths)), None, 0, 0
    scores: list[float] = []
    with (
        Progress() as progress,
        open_session(
            bundle, device, threads=threads, trust=trust, remember=True, progress=progress
        ) as session,
    ):
        for number, path in enumerate(paths):
            progress(number, len(paths), Path(path).name)
            try:
                last = session.explainer.explain(path, target, **settings)
            except (InputError, ModelError) as error:
                progress.clear()
                say_error(path, error)
                code = max(code, error.exit_code)
                continue
            highest.add(raw_map(last)[0])
            if last.prediction is not None and last.prediction.task == "anomaly":
                scores.append(last.prediction.score or 0.0)
            used += 1
    if last is None:
        raise FrameError(
            "none of the images could be explained, so there is no scale",
            where=str(output),
            hint="give images of good parts",
        )
    scale = _scale(last, target, used, highest.value(), scores)
    write_scale(output, scale)
    few = f"; {FEW} or more good parts make a better scale" if used < FEW else ""
    reach = "reaches" if len(paths) == 1 else "reach"
    say(f"{used} of {counted(len(paths), 'good part')} {reach} {scale.value:.3g} → {output}{few}", err=True)
    if scale.threshold is not None:
        own = last.prediction.threshold if last.prediction is not None else None
        say(
            f"their scores reach {max(scores):.4g}: from {scale.threshold:.4g} on a part is NG"
            + ("" if own is None else f", unless the bundle's own threshold, {own:.4g}, is used"),
            err=True,
        )
    return code


def threshold_of(scores: Sequence[float]) -> float:
    """Return the anomaly score from which a part is NG, by the scores of good parts.

    As far above their highest score as this is above their median, times ``MARGIN``: of n good parts the next
    one has a higher score than all with a chance of 1 / (n + 1), so the highest alone would be no limit.
    """
    highest, median = max(scores), float(np.median(scores))
    return highest + MARGIN * (highest - median)


def _scale(
    last: Explanation, target: str | None, images: int, value: float, scores: Sequence[float]
) -> GoodScale:
    if not value > 0:
        raise ModelError(
            "the maps of the good parts are 0 everywhere, so there is nothing to compare with",
            hint="choose another target or method, or explain without a scale",
        )
    made = last.provenance
    return GoodScale(
        bundle=made.bundle,
        bundle_sha256=made.bundle_sha256,
        key=scale_key(last, named=target is not None),
        samples=made.samples,
        images=images,
        quantile=QUANTILE,
        value=float(str(np.float32(value))),
        threshold=float(f"{threshold_of(scores):.6g}") if scores else None,
    )
