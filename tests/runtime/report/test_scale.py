"""The scale of good parts: its quantile in bounded memory, and the picture that it colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gagrad_runtime.explanation.comparing import check_scale, scale_key
from gagrad_runtime.explanation.scale import GoodScale
from gagrad_runtime.jobs.calibrating import Highest
from gagrad_runtime.report.picture import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation


@pytest.mark.parametrize("announced", [7, 20])
def test_the_upper_end_is_enough_for_the_quantile(announced: int) -> None:
    """Equal to numpy's over all values, also when images were left out; little is kept."""
    rng = np.random.default_rng(0)
    maps = [rng.gamma(0.3, scale, (50, 60)).astype(np.float32) for scale in (1, 9, 2, 1, 0.1, 5, 1)]
    highest = Highest(0.999, announced)
    for one in maps:
        highest.add(one)
    assert highest.value() == pytest.approx(float(np.quantile(np.stack(maps), 0.999)), rel=1e-6)
    assert highest._values.size <= 0.0011 * announced * 3000 + 2


def test_a_calm_map_is_drawn_calm(make_explanation: Callable[..., Explanation]) -> None:
    """The same map is dark where good parts reach far more, and full where they reach far less."""
    explanation = make_explanation()
    key = scale_key(explanation, named=False)

    def brightest(value: float) -> int:
        scale = GoodScale(
            bundle="part",
            bundle_sha256="0" * 64,
            key=key,
            samples=20,
            images=24,
            quantile=0.999,
            value=value,
        )
        check_scale(scale, explanation)
        right = render(explanation, scale=scale)[150:750, 730:1200].astype(int)
        saturation = right.max(axis=2) - right.min(axis=2)
        return int(saturation.max())

    assert brightest(20) < 60
    assert brightest(0.2) > 150
