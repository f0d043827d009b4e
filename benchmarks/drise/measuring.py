"""The first step: the detections of the frames, each with its D-RISE map. The result is kept, as it takes longest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import gagrad_runtime
from benchmarks.drise.masking import drise_maps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.drise.subjects import Subject

    Array = NDArray[np.float32]

WANTED = 50


@dataclass(frozen=True)
class Masked:
    """A frame with its ``D`` detections and their D-RISE maps."""

    number: int
    """Number of the frame in its series."""
    frame: NDArray[np.uint8]
    rows: Array
    """``[D, 4 + 1 + K]``: what the bare model says of each detection's candidate."""
    maps: Array
    """``[3, D, H, W]``: of all masks, and of the two halves."""
    grey: Array
    """``[D, H, W]``: of all masks, where what is hidden has the frame's mean colour and not black. Where the
    subject has no grey, those with black."""
    seconds: float
    """Processor time of D-RISE."""


def measured(subject: Subject, series: int, wanted: int = WANTED) -> Iterator[Masked]:
    """Yield the frames of ``series`` in order until ``wanted`` detections have been seen, without a choice.

    Detections are all that ``predict`` lists at its own threshold.
    """
    folder = subject.folder / f"series-{series}"
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with gagrad_runtime.load(subject.bundle()) as explainer:
        for number, frame in enumerate(subject.frames(series)):
            path = folder / f"{number:03d}.npz"
            if not path.is_file():
                _measure(subject, explainer, frame, path)
            with np.load(path) as kept:
                rows, maps, seconds = kept["rows"], kept["maps"].astype(np.float32), float(kept["seconds"])
            grey = maps[0]
            if subject.grey:
                grey = _with_grey(subject, frame, rows, folder / f"{number:03d}-grey.npz")
            found = Masked(number, frame, rows, maps, grey, seconds)
            count += len(found.rows)
            if len(found.rows):
                yield found
            if count >= wanted:
                return


def _measure(
    subject: Subject, explainer: gagrad_runtime.Explainer, frame: NDArray[np.uint8], path: Path
) -> None:
    black_box = subject.black_box()
    detections = explainer.predict(frame).detections
    rows = black_box.candidates(frame[None])[0][[one.index[1] for one in detections]]
    began = time.process_time()
    maps = drise_maps(black_box, frame, rows) if detections else np.zeros((3, 0, 1, 1), np.float32)
    seconds = time.process_time() - began
    np.savez_compressed(path, rows=rows, maps=maps.astype(np.float16), seconds=seconds)
    print(f"{subject.name} {path.stem}: {len(detections)} detections, {seconds:.0f} s", flush=True)


def _with_grey(subject: Subject, frame: NDArray[np.uint8], rows: Array, path: Path) -> Array:
    if not len(rows):
        return np.zeros((0, 1, 1), np.float32)
    if not path.is_file():
        mean = [round(float(value)) for value in frame.mean(axis=(0, 1))]
        maps = drise_maps(subject.black_box(), frame, rows, mean)
        np.savez_compressed(path, maps=maps[0].astype(np.float16))
        print(f"{subject.name} {path.stem}", flush=True)
    with np.load(path) as kept:
        return np.asarray(kept["maps"], np.float32)
