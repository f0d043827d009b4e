"""Registration: parts with other textures, light and noise are found where they are."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_runtime.reference.layout import common_layout
from gagrad_runtime.reference.motion import Motion
from gagrad_runtime.reference.registration import Template, correlation, structure
from tests.runtime.reference.parts import HOLES, SIZE, Part, part


def places(one: Part) -> np.ndarray:
    return np.array([one.place(x, y) for x, y in HOLES])


def apart(motion: Motion, template: Part, one: Part) -> float:
    """Return how far the found places of the holes are from the true ones, pixels: root mean square."""
    known = np.concatenate([places(template), np.ones((len(HOLES), 1))], axis=1)
    found = known @ motion.matrix((SIZE, SIZE)).T
    return float(np.sqrt(((found - places(one)) ** 2).sum(axis=1).mean()))


def test_a_motion_and_its_way_back() -> None:
    """A blob is where the matrix says, and back in its place when moved the other way."""
    image = np.zeros((40, 60), np.float32)
    image[20:23, 30:33] = 1
    motion = Motion(0.1, -0.05, np.radians(10), 1.05)
    moved = motion.onto_image(image)
    row, column = (float((axis * moved).sum() / moved.sum()) for axis in np.mgrid[:40, :60])
    assert motion.matrix((40, 60)) @ [31, 21, 1] == pytest.approx([column, row], abs=0.1)
    assert correlation(motion.onto_template(moved), image) > 0.85
    assert Motion().distance(Motion(0.1, 0), (40, 60)) == pytest.approx(6)


@pytest.mark.slow
def test_parts_five_pixels_and_three_degrees_away_are_found() -> None:
    """Pairs up to 10 pixels and 6 degrees from each other, within 1.5 pixels; half of them within 0.6."""
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(10):
        first, second = part(rng), part(rng)
        motion, _ = Template(structure(first.image)).register(structure(second.image))
        errors.append(apart(motion, first, second))
    assert max(errors) < 1.5
    assert np.median(errors) < 0.6


@pytest.mark.slow
def test_good_parts_have_a_layout_and_one_without_a_hole_fits_it() -> None:
    """The layout places six parts in half a pixel, and a seventh without a hole; a plain one does not fit."""
    rng = np.random.default_rng(2)
    parts = [part(rng) for _ in range(6)]
    layout, error = common_layout([structure(one.image) for one in parts])
    assert layout is not None
    assert error * SIZE < 0.5
    assert layout.template.freedom == "shift, turn and scale"
    first = np.concatenate([places(parts[0]), np.ones((len(HOLES), 1))], axis=1)
    first_motion = layout.motions[0]
    assert first_motion is not None
    to_template = np.linalg.inv(np.vstack([first_motion.matrix((SIZE, SIZE)), [0, 0, 1]]))
    template = first @ to_template.T
    for one, motion in zip(parts, layout.motions, strict=True):
        assert motion is not None
        assert np.abs(template @ motion.matrix((SIZE, SIZE)).T - places(one)).max() < 1.2
    broken = part(rng, missing=1)
    motion, found = layout.template.register(structure(broken.image))
    assert found > layout.least
    assert np.abs(template @ motion.matrix((SIZE, SIZE)).T - places(broken)).max() < 1.5
    assert layout.template.register(structure(part(rng, plain=True).image))[1] < layout.least


@pytest.mark.slow
def test_textures_without_features_have_no_layout() -> None:
    """Plain sheets lie anywhere: halves of them disagree, and the reference image is refused."""
    rng = np.random.default_rng(3)
    layout, error = common_layout([structure(part(rng, plain=True).image) for _ in range(5)])
    assert layout is None
    assert error * SIZE > 2


def test_two_parts_are_too_few() -> None:
    """With two there are no halves of the others to compare."""
    rng = np.random.default_rng(4)
    assert common_layout([structure(part(rng).image) for _ in range(2)]) == (None, float("inf"))


@pytest.mark.slow
def test_parts_in_a_fixture_lie_still() -> None:
    """Parts that do not move are not moved: what is found is less than what is known."""
    rng = np.random.default_rng(5)
    parts = [structure(part(rng, shift=0, turn=0, scale=0).image) for _ in range(4)]
    layout, _ = common_layout(parts)
    assert layout is not None
    moved = [motion.distance(Motion(), (SIZE, SIZE)) for motion in layout.motions if motion is not None]
    assert max(moved) < 0.7
