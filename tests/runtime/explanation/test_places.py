"""Salient regions: counted by hand on maps whose places are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_runtime.explanation.places import salient_places
from gagrad_runtime.frame.placement import place
from gagrad_runtime.report.evidence import place_lines
from gagrad_runtime.report.record import record_of
from tests.models import build_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation


def placement(frame: tuple[int, int], model: tuple[int, int], **fields: Any) -> Any:
    return place(frame, build_spec(*model, **fields))


def test_two_places_in_frame_pixels() -> None:
    """A 40 × 40 map (too small to be softened) of a frame of twice and three times its size."""
    saliency = np.full((40, 40), 0.001, np.float32)
    saliency[4:8, 10:15] = 0.5
    saliency[5, 12] = 1.0
    saliency[30:33, 30:34] = 0.25
    first, second = salient_places(saliency, placement((80, 120), (40, 40)))
    assert first.box == (30, 8, 45, 16)
    assert first.area == 20 * 6
    assert first.peak == (37.5, 11.0)
    assert second.box == (90, 60, 102, 66)
    assert second.area == 12 * 6
    total = 19 * 0.5 + 1 + 12 * 0.25 + (1600 - 32) * 0.001
    assert first.share == pytest.approx(10.5 / total)
    assert second.share == pytest.approx(3 / total)


def test_specks_are_left_out_and_ten_are_the_most() -> None:
    """One bright pixel that holds 1 % is a place, one that holds less is none; a diagonal is one place."""
    saliency = np.zeros((40, 40), np.float32)
    saliency[::3, ::3][:4, :3] = 1
    assert len(salient_places(saliency, placement((40, 40), (40, 40)))) == 10
    saliency[:] = 0
    saliency[20, 5:25] = 1
    saliency[2, 2] = 0.1
    assert len(salient_places(saliency, placement((40, 40), (40, 40)))) == 1
    assert len(salient_places(np.eye(40, dtype=np.float32), placement((40, 40), (40, 40)))) == 1


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_flat_map_has_none(value: float) -> None:
    """A constant or NaN map has no salient regions."""
    assert salient_places(np.full((40, 40), value, np.float32), placement((40, 40), (40, 40))) == ()


def test_what_lies_on_the_bars_does_not_count() -> None:
    """Letterbox: a frame of 40 × 80 in 40 × 40 fills rows 10 to 30; the map above is on black padding."""
    saliency = np.zeros((40, 40), np.float32)
    saliency[2:6, 2:6] = 1
    saliency[12:14, 20:24] = 0.5
    (found,) = salient_places(saliency, placement((40, 80), (40, 40), resize="letterbox"))
    assert found.box == (40, 4, 48, 8)
    assert found.share == 1


def test_in_the_record_and_the_caption(make_explanation: Callable[..., Explanation]) -> None:
    """Largest share first, and the numbers on the picture have their figures under it."""
    explanation = make_explanation()
    places = record_of(explanation).places
    assert [one.share for one in places] == sorted((one.share for one in places), reverse=True)
    assert places[0].peak == pytest.approx((48, 36), abs=3)
    assert place_lines(explanation)[0].endswith(f"{places[0].share * 100:.0f} % of the map")
    assert place_lines(replace(explanation, places=())) == ()
