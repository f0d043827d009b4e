"""Check of the perturbed ``accumulate``: against the plain one, and along segments of the original image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import MEAN, PERTURBATION, SCORES, STATE_OUT
from gagrad_edge.errors import VerificationError
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.perturbation import COLUMNS, IDENTITY
from gagrad_export.assemble.accumulate import accumulate_graph
from gagrad_export.verify.float_twin import float_twin
from gagrad_export.verify.gradient import KINK_TOLERANCE, NOISE_STD, SEGMENT_TOLERANCE, VANISHED, Point
from gagrad_export.verify.sessions import accumulate_inputs, open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.verify.sessions import Sessions

    Array = NDArray[np.float32]
    Run = Callable[..., tuple[Array, Array]]

_ROWS: tuple[dict[str, float], ...] = (
    {},
    {"gain": 1.1, "offset": -0.05, "shift_y": 1.3, "shift_x": -2.6, "read_noise": 0.02},
    {"angle": 0.03, "blur": 0.7, "shot_noise": 0.002},
    {"flip": 1.0, "angle": -0.02, "gain": 0.9, "blur": 1.6, "shift_x": 0.5},
)
"""Perturbations of the check: the identity, then each column at least once."""

_SEGMENTS, _POINTS, _REACHES = 2, 8, (5e-4, 4e-3)


def verify_perturbations(
    graph: GraphFile, sessions: Sessions, model: Canonical, spec: InputSpec, point: Point
) -> None:
    """Check the perturbed ``accumulate``. Raises VerificationError."""
    shape = point.image.shape[1:]
    rows = np.array([[{**_identity(), **row}[name] for name in COLUMNS] for row in _ROWS], np.float32)
    (noise,) = noise_chunks(5, len(rows), len(rows), shape)
    plain, _ = sessions.accumulate(point.image, noise, NOISE_STD, point.cotangent)
    sessions.close("accumulate")
    run = _runner(graph, point.cotangent)
    same, _ = run(point.image, noise, NOISE_STD, rows[:1].repeat(len(rows), axis=0))
    error = float(np.linalg.norm(same - plain.mean)) / max(float(np.linalg.norm(plain.mean)), VANISHED)
    _require(error <= KINK_TOLERANCE, f"the identity's gradient differs from the plain one by {error:.1e}")
    if model.straight_through:
        run = _runner(accumulate_graph(float_twin(model), spec, perturbations=True)[0], point.cotangent)
    for reach in _REACHES:  # a longer one where the short one drowns in the scores' rounding
        error = _along_segments(run, noise, rows, point, spec, reach)
        if error <= SEGMENT_TOLERANCE:
            return
    _require(False, f"the gradient is off by {error:.1e}")


def _runner(graph: GraphFile, cotangent: Array) -> Run:
    """Return a function that gives the mean gradient ``[C, H, W]`` and the scores of one chunk."""
    session = open_session(graph, "accumulate, perturbed")

    def run(image: Array, noise: Array, noise_std: float, rows: Array) -> tuple[Array, Array]:
        feed = {**accumulate_inputs(image, noise, noise_std, cotangent), PERTURBATION: rows}
        mean, scores = session.run([STATE_OUT[MEAN], SCORES], feed)
        return mean, scores

    return run


def _along_segments(
    run: Run, noise: Array, rows: Array, point: Point, spec: InputSpec, reach: float
) -> float:
    """Return the median mismatch over segments, as ``verify.gradient.against_segments`` measures it.

    Two quantities count as constants in the gradient and must not change along a segment. The level of the
    method's noise follows the image's extremes, so only the sensor noise is on. Pixels from outside the image
    have the channel's mean, so a segment keeps the mean of each channel.
    """
    std = np.reshape(np.asarray(spec.std, np.float32), (1, -1, 1, 1))
    base, *directions = noise_chunks(6, _SEGMENTS + 1, 1, point.image.shape[1:])
    image = point.image + base * (np.float32(NOISE_STD) * point.spread) * std
    ticks = [(i + 0.5) / _POINTS * 2 - 1 for i in range(_POINTS)]
    mismatches = []
    for direction in directions:
        step = (direction - direction.mean(axis=(2, 3), keepdims=True)) * (np.float32(reach) * point.spread)
        gradients = [run(image + np.float32(t) * step * std, noise, 0.0, rows)[0] for t in ticks]
        ends = [run(image + np.float32(t) * step * std, noise, 0.0, rows)[1].mean(axis=0) for t in (1, -1)]
        gradient = np.mean(gradients, axis=0, dtype=np.float64)
        change = float(np.vdot((ends[0] - ends[1]).astype(np.float64), point.cotangent[0])) / 2
        scale = reach * float(point.spread) * float(np.linalg.norm(gradient))
        mismatches.append(abs(change - float(np.vdot(gradient, step[0]))) / max(scale, VANISHED))
    return float(np.median(mismatches))


def _identity() -> dict[str, float]:
    return dict(zip(COLUMNS, IDENTITY, strict=True))


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise VerificationError(
            f"{what}, so nothing was written",
            where="accumulate with perturbations",
            hint="leave `perturbations` out; and please report the model's operators, as "
            "`gagrad-edge export` lists them",
        )
