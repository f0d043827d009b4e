"""A covered place looks like the part around it, and control places like what surrounds the place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gagrad_runtime.sampling.control_places import control_covers
from gagrad_runtime.sampling.covering_images import CLOSE, WIDE, Cover, cover_of, covered
from gagrad_runtime.sampling.pieces import Surface

Array = NDArray[np.float32]
SIZE = 96
SEEN = Cover(0, 0, SIZE, SIZE)
PLACE = Cover(36, 40, 56, 56)


def texture(blur: float) -> Array:
    """Return a grained image [1, SIZE, SIZE] around one half."""
    grain = np.random.default_rng(2).normal(size=(SIZE, SIZE)).astype(np.float32)
    if blur:
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), blur), np.float32)
    return np.asarray(0.5 + 0.1 * grain / grain.std(), np.float32)[None]


def ramp() -> Array:
    """Return an image [1, SIZE, SIZE] whose brightness rises from left to right and downwards."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    return np.asarray(0.2 + 0.3 * x + 0.2 * y, np.float32)[None]


def surface(image: Array) -> Surface:
    return Surface(image, np.ones(image.shape[1:], bool))


def inside(image: Array) -> Array:
    """Return the middle of the place."""
    return image[:, PLACE.top + 3 : PLACE.bottom - 3, PLACE.left + 4 : PLACE.right - 4]


@pytest.mark.parametrize("blur", [0.0, 0.8, 1.2])
def test_a_texture_goes_on(blur: float) -> None:
    """On grain, of a pixel or of several, the cover has grain as strong as the part's, and not a blot."""
    image = texture(blur)
    found = covered(surface(image), PLACE, ())
    assert inside(found).std() == pytest.approx(image.std(), rel=0.35)
    assert abs(float(np.corrcoef(inside(found).ravel(), inside(image).ravel())[0, 1])) < 0.5


def test_uneven_light_goes_on() -> None:
    """A spot on a surface with a slope of brightness leaves no step behind."""
    image = ramp()
    spot = image.copy()
    spot[:, 42:54, 39:53] = 1
    found = covered(surface(spot), PLACE, ())
    assert np.abs(found - image).max() < 0.01


def test_an_edge_is_not_brought_in() -> None:
    """On a bar little wider than the place, the piece is taken from along the bar and not from across it."""
    image = np.full((1, SIZE, SIZE), 0.1, np.float32)
    image[:, :, 31:61] = texture(0)[:, :, 31:61] + 0.1
    found = covered(surface(image), PLACE, ())
    assert inside(found).min() > 0.2


def test_where_no_piece_fits_the_surroundings_are_carried_over() -> None:
    """On a disc with an edge all around it, no piece is taken: what is covered becomes smooth."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.where(np.hypot(x - 46, y - 48) < 20, 0.7, 0.1).astype(np.float32)[None]
    found = covered(surface(image), PLACE, ())
    assert np.abs(inside(found) - 0.7).max() < 0.02


def test_nothing_is_taken_from_places_nor_changed_beside_the_cover() -> None:
    """Another place of the map is no piece, and pixels beyond the soft edge keep their values to the bit."""
    image = texture(0.8)
    image[:, :, 60:] = 1
    found = covered(surface(image), PLACE, (Cover(60, 0, SIZE, SIZE),))
    assert inside(found).max() < 0.95
    changed = (found != image).any(axis=0)
    assert changed[PLACE.top : PLACE.bottom, PLACE.left : PLACE.right].mean() > 0.8
    rows, columns = np.nonzero(changed)
    assert rows.min() >= PLACE.top - 4
    assert rows.max() < PLACE.bottom + 4
    assert columns.min() >= PLACE.left - 4
    assert columns.max() < PLACE.right + 4


def test_a_good_part_is_laid_in_with_this_parts_brightness() -> None:
    """Of the good image the structure is taken, and the brightness from around the place."""
    image, good = ramp(), np.full((1, SIZE, SIZE), 0.9, np.float32)
    good[:, 46:50, 44:48] = 0.6
    found = covered(surface(image), PLACE, (), good)
    assert float(found[0, 47, 45] - image[0, 47, 45]) == pytest.approx(-0.3, abs=0.02)
    assert float(found[0, 43, 52] - image[0, 43, 52]) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("wanted", [CLOSE, WIDE])
@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (95, 95, 96, 96), (40, 40, 60, 50), (0, 0, 96, 96), (-9, 40, 3, 50)]
)
def test_a_cover_is_on_the_frame_and_of_a_size_that_can_be_covered(
    box: tuple[int, int, int, int], wanted: object
) -> None:
    """It is neither smaller than what a model sees, nor larger than what can be filled from around it."""
    peak = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    found = cover_of(box, peak, SEEN, (SIZE, SIZE), wanted)  # type: ignore[arg-type]
    assert 0 <= found.left < found.right <= SIZE
    assert 0 <= found.top < found.bottom <= SIZE
    assert max(found.right - found.left, found.bottom - found.top) <= 0.4 * SIZE + 2


def test_controls_look_like_the_place_and_touch_nothing() -> None:
    """On a part that is half smooth and half rough, the controls of a rough place are rough."""
    image = texture(0.8)
    image[:, :, :48] = 0.5
    place = Cover(70, 40, 84, 54)
    found = control_covers(image, place, SEEN, (place,), 3)
    assert len(found) == 3
    assert all(one.left >= 48 for one in found)
    assert all((one.right - one.left, one.bottom - one.top) == (14, 14) for one in found)
    assert not any(one.overlaps(other) for one in found for other in (place, *found) if one is not other)
    assert control_covers(image, place, SEEN, (place,), 3) == found
    assert control_covers(image, SEEN, SEEN, (place,), 3) == ()
