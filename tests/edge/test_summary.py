"""A manifest in lines for people."""

from __future__ import annotations

import pytest

from gagrad_edge.manifest import Checked, Confusion
from gagrad_edge.summary import agreement, counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_one_is_no_plural(number: int, said: str) -> None:
    """Everything but one has the plural."""
    assert counted(number, "image") == said


def test_one_labelled_image_is_said_as_one() -> None:
    """The verb follows the number."""
    one = Checked(
        images=1, agree=1, at_least=0.9, confusion=[Confusion(label="ok", answer="ok", images=1)], suspect=""
    )
    assert agreement(one)[0].startswith("1 of 1 labelled image is answered as labelled")
