"""The metrics, against cases counted by hand and the other programs' definitions."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_runtime.evaluate.curves import blurred, deletion_curve, insertion_curve
from gagrad_runtime.evaluate.metrics import (
    area_under_curve,
    concentration,
    mass_on_mask,
    pixel_order,
    pointing_game,
    widened,
)

SALIENCY = np.array([[0, 1, 2], [3, 4, 10]], np.float32)
MASK = np.array([[False, True, False], [False, False, True]])
NONE = np.zeros((2, 3), bool)


def test_mass_and_concentration_by_hand() -> None:
    """11 of 20 on two of six pixels: 1.65 times what an even map has there."""
    assert mass_on_mask(SALIENCY, MASK) == pytest.approx(11 / 20)
    assert concentration(SALIENCY, MASK) == pytest.approx(11 / 20 / (2 / 6))
    assert concentration(np.ones((2, 3), np.float32), MASK) == pytest.approx(1)


def test_what_cannot_be_measured_is_none() -> None:
    """No defect: not 0, which would be a bad mark. A map of zeros deserves it: it fails to point."""
    assert mass_on_mask(SALIENCY, NONE) is None
    assert mass_on_mask(np.zeros((2, 3), np.float32), MASK) == 0
    assert concentration(SALIENCY, NONE) is None
    assert pointing_game(SALIENCY, NONE) is None


def test_pointing_game() -> None:
    """The highest pixel decides; of several, any; a map that is flat points nowhere."""
    assert pointing_game(SALIENCY, MASK) is True
    assert pointing_game(-SALIENCY, MASK) is False
    two = np.array([[5, 1, 1], [1, 1, 5]], np.float32)
    assert pointing_game(two, MASK) is True
    assert pointing_game(np.ones((2, 3), np.float32), MASK) is False


def test_a_mask_is_widened_by_a_distance() -> None:
    """A single pixel becomes a disc: 1 pixel is a cross, 1.5 a square of nine."""
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    assert widened(mask, 0).sum() == 1
    assert widened(mask, 1).sum() == 5
    assert widened(mask, 1.5).sum() == 9
    assert not widened(np.zeros((7, 7), bool), 3).any()


def test_order_and_ties() -> None:
    """Highest first; equal values are spread over the image and not taken from its top."""
    assert list(pixel_order(SALIENCY)) == [5, 4, 3, 2, 1, 0]
    flat = pixel_order(np.zeros((40, 40), np.float32))
    assert sorted(flat) == list(range(1600))
    assert 700 < flat[:800].mean() < 900
    np.testing.assert_array_equal(flat, pixel_order(np.ones((40, 40), np.float32)))


def test_area_under_curve_by_hand() -> None:
    """Trapezoids on 0..1: a straight line is its mean, the end points count half."""
    assert area_under_curve([1, 1, 1]) == 1
    assert area_under_curve([0, 1]) == 0.5
    assert area_under_curve([1, 0, 0, 0, 0]) == pytest.approx(1 / 8)


def test_curves_of_a_model_that_counts_pixels() -> None:
    """Confidence = share of the image's mass: 8, 4, 2, 1 of 15 go one after another."""
    image = np.array([[[8, 4], [2, 1]]], np.float32)
    order = pixel_order(image[0])

    def mass(images: np.ndarray) -> np.ndarray:
        return np.asarray(images.sum(axis=(1, 2, 3), dtype=np.float64) / 15)

    np.testing.assert_allclose(
        deletion_curve(image, order, [0.0], mass, steps=4), np.array([15, 7, 3, 1, 0]) / 15
    )
    to_mean = deletion_curve(image, order, [2.0], mass, steps=2)
    np.testing.assert_allclose(to_mean, np.array([15, 7, 8]) / 15)
    inserted = insertion_curve(image, order, mass, steps=4)
    assert inserted[-1] == 1
    assert inserted[0] == pytest.approx(blurred(image).sum() / 15)
    worst = deletion_curve(image, order[::-1], [0.0], mass, steps=4)
    assert area_under_curve(worst) > area_under_curve(deletion_curve(image, order, [0.0], mass, steps=4))


def test_the_blur_hides_small_things_only() -> None:
    """A scratch of one pixel is gone, a plain image stays as it is."""
    plain = np.full((3, 64, 64), 0.5, np.float32)
    np.testing.assert_allclose(blurred(plain), plain, atol=1e-6)
    plain[:, 30] = 1
    assert np.ptp(blurred(plain)) < 0.25
