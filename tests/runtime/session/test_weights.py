"""A cotangent of the caller's own: the map of a weighted sum of scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.errors import SettingError, TargetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.session.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as opened:
        yield opened


def weights(*values: float) -> NDArray[np.float32]:
    """Return a cotangent over the three classes."""
    return np.array(values, np.float32)


@pytest.mark.parametrize("preset", ["operator", "paper"])
def test_the_weights_of_a_class_give_its_map(
    explainer: Explainer, part: NDArray[np.uint8], preset: str
) -> None:
    """And 1 and −1 that of a difference. The operator asks of a defect against good parts."""
    alone, target = (weights(1, 0, 0), "ok") if preset == "operator" else (weights(0, 0, 1), "dent")
    for cotangent, name, asked in (
        (alone, target, {}),
        (weights(-1, 0, 1), "dent", {"against": "ok"}),
    ):
        own = explainer.explain(part, name, preset=preset, rcap=False, cover=False, **asked)  # type: ignore[arg-type]
        np.testing.assert_array_equal(explainer.saliency(part, cotangent, preset=preset), own.saliency)


def test_other_weights_give_another_map(explainer: Explainer, part: NDArray[np.uint8]) -> None:
    """The operator's map depends on their ratio alone; that of the paper on their size, too."""
    one = explainer.saliency(part, weights(0.5, 0.25, -2))
    np.testing.assert_allclose(explainer.saliency(part, weights(1, 0.5, -4)), one, atol=1e-5)
    for preset in ("operator", "paper"):
        maps = [explainer.saliency(part, weights(*w), preset=preset) for w in ((1, 0, -1), (0.5, 0.25, -2))]
        assert np.abs(maps[0] - maps[1]).max() > 1e-3


@pytest.mark.parametrize(
    "cotangent", [weights(0, 0, 0), weights(np.nan, 1, 0), weights(1, 0)], ids=["zero", "nan", "shape"]
)
def test_weights_that_say_nothing_are_refused(
    explainer: Explainer, part: NDArray[np.uint8], cotangent: NDArray[np.float32]
) -> None:
    """All zero, not finite, or of another shape than the scores."""
    with pytest.raises(TargetError, match=r"^cotangent: "):
        explainer.saliency(part, cotangent)


def test_a_setting_that_does_not_exist_is_refused(explainer: Explainer, part: NDArray[np.uint8]) -> None:
    """As by ``explain``."""
    with pytest.raises(SettingError, match="sampels"):
        explainer.saliency(part, weights(1, 0, 0), sampels=3)


def test_a_class_activation_map_has_weights_too(explainer: Explainer, part: NDArray[np.uint8]) -> None:
    """Methods without samples take them as well."""
    own = explainer.explain(part, "dent", method="grad-cam", rcap=False)
    np.testing.assert_array_equal(explainer.saliency(part, weights(0, 0, 1), method="grad-cam"), own.saliency)
