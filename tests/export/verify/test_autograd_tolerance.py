"""How sharply a gradient is compared with autograd: as autograd in float32 agrees with itself in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from gagrad_edge.method.reference import State
from gagrad_export.verify.gradient import AUTOGRAD_TOLERANCE, GradientErrors, Point, against_autograd

if TYPE_CHECKING:
    from gagrad_export.load.onnx_file import Autograd
    from gagrad_export.verify.sessions import Sessions

SHAPE = (3, 8, 8)
GRADIENT = np.random.default_rng(0).standard_normal(SHAPE)
IMAGE = np.zeros((1, *SHAPE), np.float32)


class OffBy:
    """``accumulate`` and autograd in float32, each off by so much from the gradient in float64."""

    def __init__(self, ours: float, own: float) -> None:
        self.ours, self.own, self.singles, self.copies = ours, own, 0, 0

    def accumulate(self, *_: Any) -> tuple[State, Any]:
        """Return the state behind one copy."""
        zero = np.zeros(SHAPE, np.float32)
        return State(1, zero, (GRADIENT * (1 + self.ours)).astype(np.float32), zero), None

    def autograd(self, x: Any, _cotangent: Any, *, double: bool) -> Any:
        """Return the gradient of each row of x."""
        self.singles += not double
        return np.stack([GRADIENT * (1 + (0 if double else self.own))] * len(x))


def judged(stub: OffBy) -> GradientErrors:
    point = Point(IMAGE, IMAGE, np.zeros((1, 2), np.float32))
    return against_autograd(cast("Sessions", stub), point, cast("Autograd", stub.autograd))


@pytest.mark.parametrize(
    ("ours", "own", "passes", "tolerance"),
    [
        (5e-5, 1e-6, True, AUTOGRAD_TOLERANCE),
        (5e-4, 1e-3, True, 1e-3),
        (5e-4, 1e-6, False, AUTOGRAD_TOLERANCE),
        (2e-2, 1e-1, False, 1e-2),
    ],
    ids=["sharp", "as autograd itself", "worse than autograd", "beyond what kinks excuse"],
)
def test_the_tolerance_follows_autograds_own_error(
    ours: float, own: float, *, passes: bool, tolerance: float
) -> None:
    """Up to 1e-2; asked only where the error is above 1e-4, as it costs a gradient more for each copy."""
    stub = OffBy(ours, own)
    errors = judged(stub)
    assert errors.median == pytest.approx(ours, rel=1e-2)
    assert errors.passed == passes
    assert errors.tolerance == pytest.approx(tolerance)
    assert (stub.singles == 0) == (ours < AUTOGRAD_TOLERANCE)


class OffAtOne(OffBy):
    """The same, where one copy of five is off by so much, and the others are not."""

    def accumulate(self, *given: Any) -> tuple[State, Any]:
        """Return the state behind one copy; the third is off."""
        self.copies += 1
        state, rest = super().accumulate(*given)
        zero = np.zeros(SHAPE, np.float32)
        return (state if self.copies == 3 else State(1, zero, GRADIENT.astype(np.float32), zero)), rest

    def autograd(self, x: Any, cotangent: Any, *, double: bool) -> Any:
        """Return the gradient of each row of x; of the single ones in float32 the third is off."""
        found = super().autograd(x, cotangent, double=double)
        return found if double or self.singles == 3 else np.stack([GRADIENT] * len(x))


@pytest.mark.parametrize(
    ("ours", "own", "passes"),
    [(0.2, 0.15, True), (0.2, 0.05, False), (0.04, 0.0, True), (0.2, 0.0, False)],
    ids=[
        "a kink within rounding",
        "more than twice autograd's own",
        "one flipped activation",
        "a wrong gradient",
    ],
)
def test_one_copy_at_a_kink_is_judged_by_autograds_own_error_there(
    ours: float, own: float, *, passes: bool
) -> None:
    """The median is not touched by it; the largest error may be twice that of autograd in float32."""
    stub = OffAtOne(ours, own)
    errors = judged(stub)
    assert errors.worst == pytest.approx(ours, rel=1e-2)
    assert errors.passed == passes
