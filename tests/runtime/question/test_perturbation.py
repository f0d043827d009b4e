"""Ranges, what users write, and rows that a seed fixes."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.errors import SettingError
from gagrad_edge.method.perturbation import COLUMNS, IDENTITY
from gagrad_runtime.question.perturbation import NONE, Perturbations, parse_perturbations


def test_rows_lie_in_their_ranges_and_fill_them() -> None:
    """Drawn perturbations stay in their ranges, reach both ends, and do not depend on each other."""
    ranges = Perturbations(gain=0.2, offset=0.05, shift=3, angle=5, flip=True, blur=2, read_noise=0.01)
    rows = ranges.rows(2000, seed=1)
    assert rows.shape == (2000, len(COLUMNS))
    assert rows.dtype == np.float32
    low, high = (dict(zip(COLUMNS, values, strict=True)) for values in (rows.min(0), rows.max(0)))
    wanted = {
        "gain": (0.8, 1.2),
        "offset": (-0.05, 0.05),
        "shift_y": (-3, 3),
        "shift_x": (-3, 3),
        "angle": (-np.radians(5), np.radians(5)),
        "flip": (0, 1),
        "blur": (0, 2),
        "read_noise": (0.01, 0.01),
        "shot_noise": (0, 0),
    }
    for name, (least, most) in wanted.items():
        slack = 0.01 * (most - least)
        assert least - 1e-6 <= low[name] <= least + slack + 1e-6, name
        assert most - slack - 1e-6 <= high[name] <= most + 1e-6, name
    assert set(rows[:, COLUMNS.index("flip")]) == {0.0, 1.0}
    assert abs(np.corrcoef(rows[:, :3].T)[0, 1:]).max() < 0.1


def test_the_first_rows_do_not_depend_on_how_many() -> None:
    """The first rows are the same for any number of rows, and others for another seed."""
    ranges = Perturbations()
    assert np.array_equal(ranges.rows(7, seed=3), ranges.rows(50, seed=3)[:7])
    assert not np.array_equal(ranges.rows(7, seed=3), ranges.rows(7, seed=4))


def test_none_is_the_identity() -> None:
    """The perturbation NONE draws rows that change nothing."""
    assert np.array_equal(NONE.rows(3, seed=0), np.tile(np.float32(IDENTITY), (3, 1)))


def test_what_is_not_named_is_off() -> None:
    """A perturbation that the text does not name is off; default means all default ranges."""
    assert parse_perturbations("gain=0.2, blur=1") == Perturbations(gain=0.2, shift=0, angle=0, blur=1)
    assert parse_perturbations("flip") == Perturbations(gain=0, shift=0, angle=0, blur=0, flip=True)
    assert parse_perturbations("flip=0,shot_noise=0.001").shot_noise == 0.001
    assert parse_perturbations("default") == Perturbations()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zoom=2", "no perturbation 'zoom'"),
        ("", "name is missing"),
        ("gain=0.1,", "name is missing"),
        ("gain", "no number"),
        ("gain=a", "no number"),
        ("gain=nan", "between 0 and 0.9"),
        ("shift=-1", "between 0"),
        ("angle=30", "between 0 and 10"),
        ("blur=9", "between 0 and 3"),
        ("gain=0.1,gain=0.2", "twice"),
        ("flip=0.5", "neither"),
    ],
)
def test_what_cannot_be_meant(text: str, words: str) -> None:
    """A text with an unknown name, a missing or impossible number, or a name twice, is refused."""
    with pytest.raises(SettingError, match=words):
        parse_perturbations(text)
