"""Numbers on their spots: each that the caption cites is drawn, whole, and on no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_runtime.explanation.places import Place
from gagrad_runtime.report import place_marks
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.place_marks import mark_places

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.report.place_marks import _Box

LINE = (190, 215, 230)


def spots(
    frame: tuple[int, int], *peaks: tuple[float, float], evidence: str = "map"
) -> list[tuple[int, Place]]:
    height, width = frame
    return [
        (number, Place((0, 0, 1, 1), 1, 0.2, (0.0, 0.0), (x * width, y * height), evidence))  # type: ignore[arg-type]
        for number, (x, y) in enumerate(peaks, start=1)
    ]


def tags_of(
    panel: np.ndarray, frame: tuple[int, int], places: list[tuple[int, Place]], **fields: Any
) -> list[_Box]:
    """Draw ``places`` and return where the numbers are; ``fields`` are arguments of ``mark_places``."""
    found: list[_Box] = []
    drawn = place_marks._tag
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            place_marks, "_tag", lambda panel, box, *rest: (found.append(box), drawn(panel, box, *rest))
        )
        mark_places(panel, places, frame, lettering(), **fields)
    return found


@pytest.mark.parametrize(
    ("frame", "panel"),
    [
        ((1600, 200), (720, 90)), ((200, 1600), (140, 1120)), ((120, 160), (465, 620)), ((8, 8), (620, 620)),
        ((10000, 20), (620, 48)), ((20, 10000), (48, 1120)),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "peaks",
    [
        ((0, 0), (1, 1), (0.5, 0.5)),
        ((1, 0), (0, 1), (1, 0.5)),
        ((0.5, 0.5), (0.5, 0.51), (0.52, 0.5)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_every_number_is_drawn_whole_and_on_no_other(
    frame: tuple[int, int], panel: tuple[int, int], peaks: tuple[tuple[float, float], ...]
) -> None:
    """At every aspect ratio, in corners, and with all places on one spot."""
    canvas = np.zeros((*panel, 3), np.uint8)
    tags = tags_of(canvas, frame, spots(frame, *peaks))
    assert len(tags) == 3
    for number, tag in enumerate(tags):
        assert tag.left >= 0
        assert tag.top >= 0
        assert tag.left + tag.width <= panel[1]
        assert tag.top + tag.height <= panel[0]
        assert not any(tag.overlap(other) for other in tags[:number])
        inside = canvas[tag.top + 2 : tag.top + tag.height - 2, tag.left + 2 : tag.left + tag.width - 2]
        assert (np.abs(inside.astype(int) - LINE).max(axis=2) < 60).sum() > 15


@pytest.mark.parametrize("ground", [0, 255])
def test_a_number_can_be_read_on_any_ground(ground: int) -> None:
    """Its tag is dark on bright and on dark ground, and the ring has a dark edge."""
    canvas = np.full((300, 300, 3), ground, np.uint8)
    (tag,) = tags_of(canvas, (300, 300), spots((300, 300), (0.5, 0.5)))
    inside = canvas[tag.top + 1 : tag.top + tag.height - 1, tag.left + 1 : tag.left + tag.width - 1]
    assert np.ptp(inside.astype(int).sum(axis=2)) > 400
    row = canvas[150].astype(int).sum(axis=1)
    assert row.max() > 500
    assert row.min() < 150


def test_what_only_something_else_points_at_has_brackets() -> None:
    """A ring is round, brackets are corners: the middle of the top edge tells them apart."""
    both = []
    for evidence in ("map", "activation"):
        canvas = np.zeros((300, 300, 3), np.uint8)
        mark_places(canvas, spots((300, 300), (0.5, 0.5), evidence=evidence), (300, 300), lettering())
        both.append(canvas[150 - 13, 150].astype(int).sum())
    assert both[0] > 500
    assert both[1] == 0


def test_the_spot_itself_stays_visible() -> None:
    """Inside the ring nothing is drawn."""
    canvas = np.full((400, 400, 3), 77, np.uint8)
    mark_places(canvas, spots((400, 400), (0.3, 0.6)), (400, 400), lettering())
    assert (canvas[240 - 5 : 240 + 6, 120 - 5 : 120 + 6] == 77).all()


def test_a_number_gives_way_to_a_drawn_box() -> None:
    """Beside a small box the number stands outside; in a box as large as the frame it stays at its spot."""
    canvas, place = np.zeros((400, 400, 3), np.uint8), spots((400, 400), (0.5, 0.5))
    (tag,) = tags_of(canvas, (400, 400), place, avoid=[(170.0, 170.0, 230.0, 230.0)])
    assert tag.left >= 230 or tag.left + tag.width <= 170 or tag.top >= 230 or tag.top + tag.height <= 170
    (tag,) = tags_of(canvas, (400, 400), place, avoid=[(0.0, 0.0, 400.0, 400.0)])
    assert tag.distance((200, 200)) < 40


@pytest.mark.parametrize("shape", [(1600, 200, 3), (200, 1600, 3), (8, 8, 3), (120, 160)])
def test_what_the_caption_cites_is_drawn(
    make_explanation: Callable[..., Explanation], monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """On the whole picture each sentence on a place has its number, at every aspect ratio."""
    found: list[int] = []
    monkeypatch.setattr(place_marks, "_tag", lambda _panel, _box, number, *_rest: found.append(number))
    one = make_explanation(frame=np.full(shape, 90, np.uint8))
    render(one)
    caption = write_caption(one, lettering())
    assert len(found) == 2
    assert [line.split(":")[0] for line in caption.places] == [str(number) for number in found]
