"""Which place comes first."""

from __future__ import annotations

import pytest

from gagrad_runtime.explanation.covering import Covering, ranked
from gagrad_runtime.explanation.places import Place

PLACES = tuple(Place((left, 0, left + 5, 5), 25, 0.2, (left + 2.0, 2.0)) for left in (0, 20, 40))


def covering(changed: tuple[bool, ...], controls: tuple[bool, ...] = (False, False)) -> Covering:
    """Return a test of two places, of which ``changed`` change the answer."""
    return Covering("surroundings", 0.9, (0.8, 0.1, 0.2)[: len(changed)], changed, (0.9, 0.9), controls)


def test_the_place_that_the_answer_hangs_on_comes_first() -> None:
    """With what the model says without it; further places stay where they are."""
    places, found = ranked(PLACES, covering((False, True)))
    assert places == (PLACES[1], PLACES[0], PLACES[2])
    assert found is not None
    assert (found.places, found.changed, found.decides) == ((0.1, 0.8), (True, False), 1)
    places, found = ranked(PLACES, covering((False, False, True)))
    assert places == (PLACES[2], PLACES[0], PLACES[1])
    assert found is not None
    assert (found.places, found.changed) == ((0.2, 0.8, 0.1), (True, False, False))


@pytest.mark.parametrize(
    "tested",
    [
        None,
        covering((False,)),
        covering((False, False)),
        covering((True, True)),
        covering((False, True), (True, False)),
    ],
)
def test_else_the_map_has_the_word(tested: Covering | None) -> None:
    """Nothing was tested, nothing or both change the answer, or so does covering as much elsewhere."""
    assert ranked(PLACES, tested) == (PLACES, tested)
