"""Which place comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.places import Place
from gagrad_runtime.explanation.ranking import ranked

PLACES = tuple(
    Place((left, 0, left + 5, 5), 25, 0.2, (left + 2.0, 2.0), (left + 2.0, 2.0)) for left in (0, 20, 40)
)


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


ABSENT = (
    PLACES[0],
    replace(PLACES[1], evidence="finer activation"),
    replace(PLACES[2], evidence="activation"),
    replace(PLACES[0], box=(60, 0, 65, 5)),
)


def test_where_covering_takes_nothing_the_finer_layer_comes_first() -> None:
    """A feature may be absent. The second witness follows, then the map's place; places not tested stay."""
    tested = Covering("surroundings", 0.9, (0.87, 0.88, 0.89), (False,) * 3, (0.9,), (False,))
    places, found = ranked(ABSENT, tested)
    assert places == (ABSENT[1], ABSENT[2], ABSENT[0], ABSENT[3])
    assert found is not None
    assert found.places == (0.88, 0.89, 0.87)


@pytest.mark.parametrize(
    ("places", "tested"),
    [
        (ABSENT, Covering("surroundings", 0.9, (0.6, 0.88, 0.89), (False,) * 3, (0.9,), (False,))),
        (ABSENT, Covering("surroundings", 0.9, (0.87, 0.88, 0.89), (False,) * 3, (0.1,), (True,))),
        (
            ABSENT,
            Covering("surroundings", 0.9, (0.87, 0.88, 0.89), (False,) * 3, (), (), decidable=False),
        ),
        (
            (ABSENT[0], ABSENT[2]),
            Covering("surroundings", 0.9, (0.87, 0.88), (False, False), (0.9,), (False,)),
        ),
    ],
    ids=["the map's place takes something", "so does any place", "a value", "no finer layer"],
)
def test_else_the_map_stays_first(places: tuple[Place, ...], tested: Covering) -> None:
    """Where something speaks for the map's place, where covering says nothing, and without a finer layer."""
    assert ranked(places, tested) == (places, tested)
