"""Two independent references for the gradient: autograd, and the change of the score along segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.abi import IMAGE
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.reference import State
from gagrad_export.verify.double import NotInDoubleError, in_double
from gagrad_export.verify.smoothness import is_smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_export.load.onnx_file import Autograd
    from gagrad_export.verify.sessions import Sessions

    Array = NDArray[np.float32]
    Double = NDArray[np.float64]

SAMPLES = 5
NOISE_STD = 0.15
_SEGMENTS, _REACHES = 4, (5e-4, 4e-3, 3e-2)
_EXACT_REACHES = (*_REACHES, 1e-6)
"""Lengths of a segment in float64. The last is for a network whose gradient turns round within the others, as
one with random weights may: with 1e5 times the scores' range for the image's."""
_POINTS, _SMOOTH_POINTS = 32, 8
"""Points of a segment in a network with kinks and without, where the gradient hardly changes along it; eight
points are one batch."""


AUTOGRAD_TOLERANCE, SEGMENT_TOLERANCE, SMOOTH_TOLERANCE = 1e-4, 2e-2, 1e-3
"""Bounds of the median relative error. A missing term or a wrong factor in one rule gives several per cent or
more; along segments kinks add one or two per cent, and a network without kinks has 1e-6, the rounding of
float32."""

KINK_TOLERANCE = 5e-2
"""Bound of the largest error against autograd: one flipped activation can be seen there."""

VANISHED = 1e-30
"""Largest gradient that counts as zero: it explains nothing, and its relative error has no meaning."""

_OWN_ERROR_LIMIT = 1e-2
"""Largest tolerance to which autograd's own error in float32 may widen it."""


@dataclass(frozen=True)
class GradientErrors:
    """Relative errors ‖g − g_ref‖₂ / ‖g_ref‖₂ over the verification inputs, and what they must meet.

    The median is what the rules and lowerings are judged by. The worst may be larger where an activation
    lies within rounding of a kink: there float32 implementations legitimately take different sides.
    """

    median: float
    worst: float
    tolerance: float
    """Upper bound for ``median``."""
    worst_tolerance: float | None = None
    """Upper bound for ``worst``, where the reference is sharp enough for one."""

    @property
    def passed(self) -> bool:
        """Whether both bounds hold; NaN fails."""
        bound = float("inf") if self.worst_tolerance is None else self.worst_tolerance
        return self.median <= self.tolerance and self.worst <= bound


@dataclass(frozen=True)
class Point:
    """The point at which the gradient is checked: an image, its model input x, and the target's cotangent."""

    image: Array
    x: Array
    cotangent: Array

    @property
    def spread(self) -> np.float32:
        """max(x) − min(x)."""
        spread: np.float32 = self.x.max() - self.x.min()
        return spread


def model_input(image: Array, spec: InputSpec) -> Array:
    """Return (image − mean) / std for ``image [1, C, H, W]``."""
    shape = (1, spec.channels, 1, 1)
    mean, std = (np.asarray(values, np.float32).reshape(shape) for values in (spec.mean, spec.std))
    return (image - mean) / std


def against_autograd(sessions: Sessions, point: Point, autograd: Autograd) -> GradientErrors:
    """Compare ``accumulate`` with autograd in float64, one sample at a time.

    A network whose kinks lie so densely that autograd in float32 misses its own float64 answer by 1e-3
    cannot be met to 1e-4 by anyone: then the tolerance follows that own error, up to _OWN_ERROR_LIMIT. So
    does the largest error a sample may have, up to twice autograd's own at the same sample: there a kink lies
    within rounding, and each float32 implementation takes a side.
    """
    errors, references = [], []
    double = True
    for noise in noise_chunks(0, SAMPLES, 1, point.image.shape[1:]):
        state, _ = sessions.accumulate(point.image, noise, NOISE_STD, point.cotangent)
        x = point.x + noise * (np.float32(NOISE_STD) * point.spread)
        try:
            expected = autograd(x, point.cotangent, double=double)
        except RuntimeError:  # the model holds float32 constants of its own, so it runs in float32 only
            double = False
            expected = autograd(x, point.cotangent, double=False)
        error = _relative(state.mean, expected[0])
        if error > AUTOGRAD_TOLERANCE:
            error = min(error, _error_to_a_pair(state.mean, x, point.cotangent, autograd, double=double))
        errors.append(error)
        references.append((x, expected[0]))
    found = GradientErrors(float(np.median(errors)), max(errors), AUTOGRAD_TOLERANCE, KINK_TOLERANCE)
    if found.passed or not double:
        return found
    own = [_relative(autograd(x, point.cotangent, double=False)[0], dx) for x, dx in references]
    excused = [max(KINK_TOLERANCE, 2 * theirs) for theirs in own]
    met = all(ours <= most for ours, most in zip(errors, excused, strict=True))
    return replace(
        found,
        tolerance=max(AUTOGRAD_TOLERANCE, min(max(own), _OWN_ERROR_LIMIT)),
        worst_tolerance=max(excused) if met else KINK_TOLERANCE,
    )


def _error_to_a_pair(found: Array, x: Array, cotangent: Array, autograd: Autograd, *, double: bool) -> float:
    """Return the error to autograd on ``x`` twice in a batch; infinite for a model that takes one row.

    For a single image torch (2.13, CPU) can misread the layout of the cotangent of BatchNorm, and be wrong by
    more than the gradient's own size: BatchNorm, then tokens and their mean, as in EfficientFormer.
    """
    try:
        pair = autograd(np.concatenate([x, x]), cotangent, double=double)
    except RuntimeError:
        return float("inf")
    return _relative(found, pair[0])


def against_segments(
    sessions: Sessions, point: Point, spec: InputSpec, *, operators: Iterable[str] = ()
) -> GradientErrors:
    """Compare ``accumulate`` with directional differences of ``predict``, whose ``operators`` are given.

    Along a segment of direction v, f(x + v) − f(x − v) = ∫ ⟨g(x + tv), v⟩ dt exactly, kinks included. The
    right side is the mean gradient over points of the segment, the left a central difference. A plain
    difference at one point is ten times less sharp: with thousands of ReLUs every step crosses kinks. For
    a random v the mismatch, divided by ‖v‖ per pixel and ‖g‖, estimates the gradient's relative error.

    Differences are taken in float64 where the network has no kinks, so that the check is sharper, and where
    the change is smaller than the rounding of the score. Where the graph does not run in float64, a longer
    segment is used. A wrong gradient disagrees on segments of every length.
    """
    smooth = is_smooth(operators)
    points = _SMOOTH_POINTS if smooth else _POINTS
    single = _weighted(lambda image: sessions.predict(image.astype(np.float32)), point.cotangent, spec)
    if not smooth:
        errors = _along_segments(sessions, point, points, _REACHES[0], single)
        if errors.passed:
            return errors
    try:
        known = {IMAGE: point.image}, sessions.predict(point.image)
        double = in_double(sessions.graphs[GraphKey("predict")], like=known)
        exact = _weighted(lambda image: double({IMAGE: image}), point.cotangent, spec)
        for reach in _EXACT_REACHES:
            errors = _along_segments(sessions, point, points, reach, exact)
            if smooth:
                errors = replace(errors, tolerance=SMOOTH_TOLERANCE)
            if errors.passed:
                break
        return errors
    except NotInDoubleError:
        return _along_segments(sessions, point, points, _REACHES[1], single)


def _along_segments(
    sessions: Sessions, point: Point, points: int, reach: float, score: Callable[[Double], float]
) -> GradientErrors:
    shape = point.image.shape[1:]
    base, *directions = noise_chunks(1, _SEGMENTS + 1, 1, shape)
    ticks = ((np.arange(points) + 0.5) / points * 2 - 1).astype(np.float32).reshape(-1, 1, 1, 1)
    spread = float(point.spread)
    centre = point.x + base.astype(np.float64) * (NOISE_STD * spread)
    mismatches = []
    for direction in directions:
        step = direction.astype(np.float64) * (reach * spread)
        difference = (score(centre + step) - score(centre - step)) / 2
        along = base + ticks * (direction * np.float32(reach / NOISE_STD))
        state = State.empty(shape)
        for chunk in np.split(along, points // 8):
            state, _ = sessions.accumulate(point.image, chunk, NOISE_STD, point.cotangent, state)
        predicted = float(np.vdot(state.mean.astype(np.float64), step[0]))
        scale = reach * spread * float(np.linalg.norm(state.mean))
        mismatches.append(abs(difference - predicted) / max(scale, VANISHED))
    return GradientErrors(float(np.median(mismatches)), max(mismatches), SEGMENT_TOLERANCE)


def _weighted(
    predict: Callable[[Any], NDArray[Any]], cotangent: Array, spec: InputSpec
) -> Callable[[Double], float]:
    """Return a function from the model input x to its scores' product with ``cotangent``."""
    shape = (1, spec.channels, 1, 1)
    mean, std = (np.reshape(values, shape) for values in (spec.mean, spec.std))
    weights = cotangent.astype(np.float64)
    return lambda x: float(np.vdot(predict(x * std + mean).astype(np.float64), weights))


def _relative(value: Array, expected: Array) -> float:
    norm = float(np.linalg.norm(expected))
    return float(np.linalg.norm(value - expected)) / max(norm, VANISHED)
