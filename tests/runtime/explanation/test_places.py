"""Places: counted by hand on maps whose places are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_edge.method.product import Witnesses
from gagrad_runtime.explanation.places import peak_places, salient_places, supposed_place
from gagrad_runtime.frame.placement import place
from gagrad_runtime.report.evidence import place_lines
from gagrad_runtime.report.record import record_of
from tests.models import build_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation


def alone(second: Any, finer: Any = None) -> Witnesses:
    return Witnesses(second, finer)


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
    assert first.middle == (37.5, 11.0)
    assert second.box == (90, 60, 102, 66)
    assert second.area == 12 * 6
    total = 19 * 0.5 + 1 + 12 * 0.25 + (1600 - 32) * 0.001
    assert first.share == pytest.approx(10.5 / total)
    assert second.share == pytest.approx(3 / total)


def test_the_middle_is_on_the_place() -> None:
    """Of a bar that is highest at one end, and of a horseshoe around what is no part of it."""
    saliency = np.zeros((40, 40), np.float32)
    saliency[10:13, 10:21] = np.linspace(0.6, 1.0, 11)
    (bar,) = peak_places(saliency, None, placement((40, 40), (40, 40)))
    assert bar.peak[0] == 20.5
    assert bar.middle == (16.5, 11.5)  # the lowest columns are below half of the peak
    saliency[:] = 0
    saliency[8:24, 8:24] = 1
    saliency[8:21, 11:21] = 0
    (horseshoe,) = salient_places(saliency, placement((40, 40), (40, 40)), quantile=0.9)
    column, row = (int(value) for value in horseshoe.middle)
    assert saliency[row, column] == 1


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


def hill(y: float, x: float, height: float = 1.0, width: float = 3.0, size: int = 64) -> np.ndarray:
    """Return a map with one peak."""
    rows, columns = np.mgrid[:size, :size]
    away = (rows - y) ** 2 + (columns - x) ** 2
    return np.asarray(height * np.exp(-away / (2 * width**2)), np.float32)


SAME = ((64, 64), (64, 64))


def test_the_strongest_peak_is_number_1_and_not_the_largest() -> None:
    """A broad hill has more of the map; a sharp higher one has the number 1; a low one is no place."""
    values = hill(10, 10, 1.0, 2) + hill(45, 45, 0.8, 6) + hill(10, 50, 0.4, 3)
    first, second = peak_places(values, None, placement(*SAME))
    assert first.peak == (10.5, 10.5)
    assert second.peak == (45.5, 45.5)
    assert first.share < second.share
    assert {first.evidence, second.evidence} == {"map"}


def test_a_place_is_what_is_above_half_of_its_own_peak() -> None:
    """A Gaussian of standard deviation 3 is above half within 3.53 pixels, whatever its height."""
    values = hill(20, 20) + hill(45, 45, 0.6)
    for one, centre in zip(peak_places(values, None, placement(*SAME)), (20, 45), strict=True):
        assert one.box == (centre - 3, centre - 3, centre + 4, centre + 4)
        assert one.area == sum(y * y + x * x <= 12 for y in range(-4, 5) for x in range(-4, 5))


def test_a_ridge_is_one_place() -> None:
    """Several peaks along a scratch that stays above half of its highest are one place, from end to end."""
    values = np.maximum.reduce([hill(30, x, 1 - 0.003 * abs(x - 20), 3) for x in range(8, 50, 5)])
    (found,) = peak_places(values, None, placement(*SAME))
    assert found.box[0] <= 6
    assert found.box[2] >= 51


def test_two_peaks_close_together_are_parted_where_they_are_lower() -> None:
    """A peak on the foot of a higher one has an area of its own, without the higher peak."""
    values = hill(30, 20, 1.0, 4) + hill(30, 36, 0.6, 4)
    first, second = peak_places(values, None, placement(*SAME))
    assert second.box[0] > first.peak[0]


def test_where_the_activation_is_high_elsewhere_is_place_2() -> None:
    """Before a stronger further peak, on evidence of its own; near place 1 it is no second place."""
    values, there = hill(10, 10) + hill(50, 10, 0.9), hill(40, 50, 0.2)
    places = peak_places(values, alone(there), placement(*SAME))
    assert [one.evidence for one in places] == ["map", "activation", "map"]
    assert places[1].peak == (50.5, 40.5)
    assert places[1].box == (47, 37, 54, 44)
    assert places[2].peak == (10.5, 50.5)
    near = peak_places(values, alone(hill(13, 13)), placement(*SAME))
    assert [one.evidence for one in near] == ["map", "map"]
    same = peak_places(values, alone(hill(50, 10)), placement(*SAME))
    assert [(one.evidence, one.peak[1]) for one in same] == [("map", 10.5), ("activation", 50.5)]


def test_the_second_witness_may_be_weaker_away_from_place_1() -> None:
    """Half of its height away from place 1 is enough; less is not."""
    for height, number in ((0.6, 2), (0.4, 1)):
        there = hill(10, 10, 1) + hill(40, 50, height)
        assert len(peak_places(hill(10, 10), alone(there), placement(*SAME))) == number
    assert len(peak_places(hill(10, 10), alone(np.zeros((64, 64), np.float32)), placement(*SAME))) == 1


def test_the_second_witness_may_lie_beside_place_1() -> None:
    """On the slope of a broad hill, as near as 12 % of the side, and its area leaves place 1 out.

    With good parts, which know of what is absent, only a peak of its own is a place.
    """
    there = hill(20, 40, 1, 20)
    first, second = peak_places(hill(20, 10), alone(there), placement(*SAME))
    assert second.evidence == "activation"
    assert second.peak == (40.5, 20.5)
    first, second = peak_places(hill(20, 38), alone(there), placement(*SAME))
    x, y = second.peak
    assert 0.12 < np.hypot(x - 38.5, y - 20.5) / 64 < 0.15
    left, _, right, _ = second.box
    assert not left <= first.peak[0] < right
    assert len(peak_places(hill(20, 38), alone(there), placement(*SAME), hill(20, 38, height=5.0))) == 1


def test_the_finer_layer_points_at_a_place_of_its_own() -> None:
    """Before the second witness, away from it; not beside place 1, nor where good parts are known."""
    values, second, finer = hill(20, 20), hill(20, 50) + hill(50, 20, 0.9), hill(22, 52)
    found = peak_places(values, alone(second, finer), placement(*SAME))
    assert [one.evidence for one in found] == ["map", "finer activation", "activation"]
    assert [one.peak for one in found] == [(20.5, 20.5), (52.5, 22.5), (20.5, 50.5)]
    found = peak_places(values, alone(second, hill(22, 22)), placement(*SAME))
    assert [one.evidence for one in found] == ["map", "activation"]
    found = peak_places(values, alone(second, finer), placement(*SAME), hill(20, 20, height=5.0))
    assert [one.evidence for one in found] == ["map", "activation"]


def test_the_supposed_place_is_beside_all_places() -> None:
    """Where the expected effect is highest, but near no place; its share is that of the map."""
    values = hill(20, 20) + hill(50, 50, 0.7)
    places = peak_places(values, None, placement(*SAME))
    expected = alone(values)._replace(effect=hill(22, 22, 3.0) + hill(20, 50))
    found = supposed_place(values, expected, places, placement(*SAME))
    assert found is not None
    assert (found.peak, found.evidence) == ((50.5, 20.5), "covering")
    assert 0 <= found.share < places[0].share
    assert supposed_place(values, alone(values), places, placement(*SAME)) is None
    assert supposed_place(values, None, places, placement(*SAME)) is None
    silent = alone(values)._replace(effect=np.zeros_like(values))
    assert supposed_place(values, silent, places, placement(*SAME)) is None


def test_where_the_part_differs_most_from_good_parts_is_a_place() -> None:
    """Before that of the activation, where it is clear; noise of a good part is no place."""
    values, active = hill(20, 20), hill(50, 50)
    found = peak_places(values, alone(active), placement((64, 64), (64, 64)), hill(20, 50, height=5.0))
    assert [one.evidence for one in found] == ["map", "reference", "activation"]
    assert found[1].peak == (50.5, 20.5)
    found = peak_places(values, alone(active), placement((64, 64), (64, 64)), hill(20, 50, height=2.0))
    assert [one.evidence for one in found] == ["map", "activation"]


def test_a_place_is_not_half_of_the_part() -> None:
    """Where a broad map is above half of its peak almost everywhere, the place is the top of it."""
    (found,) = peak_places(hill(30, 30, 1, 40), None, placement(*SAME))
    assert found.area <= 0.1 * 64 * 64
    left, top, right, bottom = found.box
    assert left <= 30 < right
    assert top <= 30 < bottom


def test_a_place_has_a_few_pixels() -> None:
    """A single pixel is marked with those around it, also in the corner."""
    values = np.zeros((64, 64), np.float32)
    values[0, 63] = 1
    (found,) = peak_places(values, None, placement(*SAME))
    assert found.box == (62, 0, 64, 2)
    assert found.share == 1


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_flat_map_has_no_peaks(value: float) -> None:
    """A constant or NaN map has no places, whatever the activation says."""
    assert peak_places(np.full((64, 64), value, np.float32), alone(hill(10, 10)), placement(*SAME)) == ()


def test_peaks_on_the_bars_do_not_count() -> None:
    """Letterbox: what the map and the activation say of the padding is no place, and has no share."""
    values, there = hill(5, 5) + 0.5 * hill(32, 20), hill(60, 60) + 0.1 * hill(32, 50)
    first, second = peak_places(values, alone(there), placement((64, 128), (64, 64), resize="letterbox"))
    assert first.peak == (41, 33)
    assert second.peak == (101, 33)
    assert first.share + second.share <= 1


def test_the_places_are_ten_at_most() -> None:
    """Peaks of one height in rows and columns: the first ten of them."""
    values = np.maximum.reduce([hill(y, x, 1, 1.5) for y in range(6, 64, 13) for x in range(6, 64, 13)])
    assert len(peak_places(values, alone(hill(32, 60)), placement(*SAME))) == 10


def test_in_the_record_and_the_caption(make_explanation: Callable[..., Explanation]) -> None:
    """Largest share first, and the numbers on the picture have their figures under it."""
    explanation = make_explanation()
    places = record_of(explanation).places
    assert [one.share for one in places] == sorted((one.share for one in places), reverse=True)
    assert places[0].peak == pytest.approx((48, 36), abs=3)
    assert place_lines(explanation)[0].endswith(f"{places[0].share * 100:.0f} % of the map")
    assert place_lines(replace(explanation, places=())) == ()
