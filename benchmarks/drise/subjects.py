"""The two detectors: their file, their bundle as a user exports it, and the bare model that D-RISE asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

import gagrad_export
from benchmarks.drise.centerface import decoding_detector, packaged
from benchmarks.drise.frames import SIDE, face_frames, part_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Frame = NDArray[np.uint8]

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / ".drise"
PROPOSALS = 100
"""Candidates of a masked frame that D-RISE compares: those with the highest scores."""
BATCH = 20


class BlackBox:
    """A detector's file in ONNX Runtime: frames in, candidates out. None of this project's code is in it."""

    def __init__(self, path: Path, mean: float, std: float) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._mean, self._std = mean, std
        self.passes = 0

    def candidates(self, frames: Frame) -> Array:
        """Return ``[N, A, 4 + 1 + K]`` of ``frames [N, H, W, 3]``: corners, confidence, class scores.

        The files have no objectness; as xaitk advises, the confidence stands for it: the best class score.
        """
        parts = [self._some(frames[start : start + BATCH]) for start in range(0, len(frames), BATCH)]
        return np.concatenate(parts)

    def proposals(self, frames: Frame) -> Array:
        """Return the ``PROPOSALS`` most confident of the candidates: ``[N, PROPOSALS, 4 + 1 + K]``."""
        parts = []
        for start in range(0, len(frames), BATCH):
            rows = self._some(frames[start : start + BATCH])
            best = np.argpartition(-rows[..., 4], PROPOSALS, axis=1)[:, :PROPOSALS, None]
            parts.append(np.take_along_axis(rows, best, axis=1))
        return np.concatenate(parts)

    def _some(self, frames: Frame) -> Array:
        self.passes += len(frames)
        x = ((frames.astype(np.float32) / 255 - self._mean) / self._std).transpose(0, 3, 1, 2)
        (output,) = self._session.run(["output0"], {self._input: np.ascontiguousarray(x, np.float32)})
        rows = output.transpose(0, 2, 1)
        centre, size, scores = rows[..., :2], rows[..., 2:4], rows[..., 4:]
        best = scores.max(axis=2, keepdims=True)
        return np.concatenate([centre - size / 2, centre + size / 2, best, scores], axis=2)


@dataclass(frozen=True)
class Subject:
    """A trained detector and the frames that it is shown."""

    name: str
    title: str
    classes: list[str]
    mean: float
    std: float
    frames: Callable[[int], Iterator[Frame]]
    """The frames of a series."""
    write: Callable[[Path], None]
    """Writes the ONNX file."""
    grey: bool = False
    """Whether D-RISE also hides with grey, as black looks like something that the detector knows: a hole."""

    @property
    def folder(self) -> Path:
        """Where what was made is kept."""
        return KEPT / self.name

    def black_box(self) -> BlackBox:
        """Return the bare model."""
        return BlackBox(self._model(), self.mean, self.std)

    def bundle(self) -> Path:
        """Return the bundle, which ``gagrad_export.export`` makes without an option of detectors."""
        path = self.folder / "model.gagrad"
        if not path.is_file():
            gagrad_export.export(
                self._model(), path, size=(SIDE, SIDE), mean=[self.mean], std=[self.std], classes=self.classes
            )
        return path

    def _model(self) -> Path:
        path = self.folder / "model.onnx"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write(path)
        return path


def _demo(path: Path) -> None:
    path.write_bytes((ROOT / "gagrad_edge" / "demo" / "detector.onnx").read_bytes())


def _centerface(path: Path) -> None:
    onnx.save(decoding_detector(packaged(), SIDE), path)


SUBJECTS = {
    "defects": Subject(
        "defects",
        "the demo's detector of defects",
        ["scratch", "dent", "stain", "missing-hole"],
        0.5,
        0.25,
        part_frames,
        _demo,
        grey=True,
    ),
    "faces": Subject("faces", "CenterFace", ["face"], 0.0, 1 / 255, face_frames, _centerface),
}
