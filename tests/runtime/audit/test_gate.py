"""The gate: what intervals decide, and where another model sees a place."""

from __future__ import annotations

import pytest

from gagrad_runtime.audit.clustering import Rectangle
from gagrad_runtime.audit.gate import outcome
from gagrad_runtime.audit.intervention import Rate, pixels, seen_by_another
from gagrad_runtime.frame.placement import place
from tests.models import build_spec

NONE = Rate(0, 0)


@pytest.mark.parametrize(
    ("covered", "beside", "pasted", "pasted_beside", "said"),
    [
        (Rate(55, 60), Rate(1, 60), Rate(50, 60), Rate(0, 60), "still"),
        (Rate(0, 60), Rate(0, 60), Rate(30, 60), Rate(0, 60), "still"),
        (Rate(55, 60), NONE, NONE, NONE, "still"),
        (Rate(55, 60), Rate(54, 60), Rate(0, 60), Rate(0, 60), "unclear"),
        (Rate(0, 22), Rate(0, 22), NONE, NONE, "gone"),
        (Rate(0, 21), Rate(0, 21), NONE, NONE, "unclear"),
        (Rate(3, 60), Rate(0, 60), Rate(3, 60), Rate(0, 60), "gone"),
        (Rate(4, 60), Rate(0, 60), Rate(0, 60), Rate(0, 60), "unclear"),
        (Rate(15, 60), Rate(0, 60), Rate(0, 60), Rate(0, 60), "still"),
        (NONE, NONE, Rate(0, 60), Rate(0, 60), "unclear"),
    ],
)
def test_intervals_decide(covered: Rate, beside: Rate, pasted: Rate, pasted_beside: Rate, said: str) -> None:
    """As docs/audit.md says: 0 of 22 and 3 of 60 are gone; what any cover changes is not still bad."""
    assert outcome(covered, beside, pasted, pasted_beside, at_most=0.15) == said


def test_a_place_is_one_of_the_frame() -> None:
    """A model of another size or with another cut sees it at the same pixels of the frame, or not at all."""
    spec, corner = build_spec(64, 64), [Rectangle(0, 12, 4, 16)]
    frame = (120, 160)
    same = place(frame, spec)
    assert seen_by_another(corner, spec, same) == pixels(corner, same)
    larger = place(frame, build_spec(128, 128, resize="letterbox"))
    (cover,) = seen_by_another(corner, spec, larger)
    left, top, right, bottom = larger.box_to_frame(tuple(map(float, cover)))  # type: ignore[arg-type]
    assert (left, bottom) == (pytest.approx(120, abs=11), pytest.approx(30, abs=11))  # widened
    assert (right, top) == (160, 0)
    cut = place(frame, build_spec(64, 64, resize="crop"))
    (cover,) = seen_by_another(corner, spec, cut)
    assert cut.box_to_frame(tuple(map(float, cover)))[2] == pytest.approx(140, abs=1)  # type: ignore[arg-type]
    narrow = place((64, 640), build_spec(64, 64, resize="crop"))
    assert seen_by_another(corner, spec, narrow) == []
