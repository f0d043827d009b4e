"""A manifest in lines for people."""

from __future__ import annotations

import pytest

from gagrad_edge.manifest import Checked, Confusion, MethodSpec, NoiseLevel
from gagrad_edge.summary import agreement, counted, describe
from tests.models import plain_manifest


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


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (24, "noise 0.03, at which 97 % of the noisy copies of 24 images keep their answer"),
        (0, "of made-up frames keep their answer: a guess"),
    ],
)
def test_the_operators_noise_says_where_it_comes_from(images: int, said: str) -> None:
    """Measured on images of parts, or guessed; a bundle from before there was one says nothing of it."""
    level = NoiseLevel(noise_std=0.03, kept=0.9688, images=images)
    lines = describe(plain_manifest(method=MethodSpec(operator=level)))
    assert [said in line for line in lines if line.strip().startswith("operator")] == [True]
    assert not [line for line in describe(plain_manifest()) if line.strip().startswith("operator")]
