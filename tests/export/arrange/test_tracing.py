from __future__ import annotations

import numpy as np
import pytest

from gagrad_export.arrange.tracing import Limits, Tracing
from tests.export.arrange.models import anomalib, model, numbers


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Clip (a, zero, top)", Limits("a", 0.0, 1.0)),
        ("y = Clip (a, zero)", Limits("a", 0.0, None)),
        ("m = Max (zero, a)\n y = Min (m, top)", Limits("a", 0.0, 1.0)),
        ("m = Clip (a, zero)\n c = Identity (m)\n y = Clip (c, low, top)", Limits("a", 0.0, 1.0)),
        ("y = Relu (a)", None),
        ("m = Clip (a, zero, top)\n y = Mul (m, two)", None),
        ("y = Clip (a, x1)\n", None),
    ],
)
def test_limits_are_found_behind_views(body: str, expected: Limits | None) -> None:
    """Clip, Max and Min with constants are limits; arithmetic behind them, or computed ones, are none."""
    if "x1" in body:
        body = "x1 = ReduceMax <keepdims = 0> (a)\n" + body
    proto = model("float[N, 4, 16, 16] y", body, **numbers(zero=0, top=1, low=-1, two=2))
    assert Tracing(proto).limits("y") == expected


def test_what_is_always_chosen_is_looked_through() -> None:
    """A Where with a constant condition, as torch exports a branch, is no obstacle."""
    found = Tracing(anomalib()).limits("pred_score")
    assert found == Limits("s3", 0.0, 1.0)


def test_a_comparison_with_a_constant_is_a_threshold() -> None:
    """Greater, or Less the other way round, tells the threshold of the value that it compares."""
    proto = model(
        "float[N, 4, 16, 16] y, bool[N, 4, 16, 16] p, bool[N, 4, 16, 16] q",
        "y = Identity (a)\n p = Greater (y, t)\n q = LessOrEqual (t, a)",
        **numbers(t=0.7),
    )
    tracing = Tracing(proto)
    assert tracing.threshold("p", "y") == pytest.approx(0.7)
    assert tracing.threshold("q", "y") == pytest.approx(0.7)
    assert tracing.threshold("p", "x") is None


def test_computed_constants_are_known() -> None:
    """A number that the file computes from constants is as good as one that it holds."""
    proto = model(
        "float[N, 4, 16, 16] y",
        "range = Sub (top, low)\n y = Clip (a, zero, range)",
        **numbers(top=3, low=1, zero=0),
    )
    tracing = Tracing(proto)
    assert tracing.number("range") == 2
    assert tracing.number("a") is None
    assert np.isclose(tracing.limits("y").greatest or 0, 2)  # type: ignore[union-attr]
