"""The operator's map in numpy, against its formula written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.method.product import (
    AROUND,
    ESTIMATED,
    FLOOR,
    POOLED,
    WIDE,
    compared,
    detail,
    effect,
    pooled,
    product,
    side,
    witnesses,
)

WHOLE = slice(0, 48), slice(0, 64)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def gaussian(shape: tuple[int, int], centre: tuple[int, int], sigma: float) -> np.ndarray:
    """Return the weights of a Gaussian around ``centre`` for the pixels of ``shape``."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))


def test_each_pixel_is_its_formula(rng: np.random.Generator) -> None:
    """S = (G·m ⋆ N)/(m ⋆ N) · max(C/max C, L/max L) in the middle, at an edge and in a corner."""
    squared = rng.random((48, 64)).astype(np.float32)
    c, layer = (rng.random((48, 64)).astype(np.float32) * height for height in (0.7, 3))
    activation = np.maximum(c / c.max(), layer / layer.max())
    found = product(squared, [c, layer], WHOLE)
    sigma = POOLED * np.sqrt(48 * 64)
    for pixel in ((20, 30), (0, 30), (47, 63), (0, 0)):
        weight = gaussian((48, 64), pixel, sigma)
        expected = (np.sqrt(squared) * weight).sum() / weight.sum() * activation[pixel]
        assert found[pixel] == pytest.approx(expected, rel=0.01)


def test_edges_are_as_bright_as_the_middle() -> None:
    """Pooling a constant gives the constant, up to the corner."""
    np.testing.assert_allclose(pooled(np.full((20, 30), 0.7, np.float32), 2.0), 0.7, rtol=1e-5)
    ones = product(np.ones((48, 64), np.float32), [], WHOLE)
    np.testing.assert_allclose(ones, 1, rtol=1e-5)


def test_padding_gives_nothing_and_takes_nothing(rng: np.random.Generator) -> None:
    """What lies beside the frame is 0, and changes no value on the frame."""
    seen = slice(12, 36), slice(0, 64)
    squared = rng.random((48, 64)).astype(np.float32)
    activation = rng.random((48, 64)).astype(np.float32)
    loud_squared, loud_activation = squared.copy(), activation.copy()
    loud_squared[:12] = loud_squared[36:] = 1e6
    loud_activation[:12] = loud_activation[36:] = 50
    found, loud = product(squared, [activation], seen), product(loud_squared, [loud_activation], seen)
    np.testing.assert_array_equal(found, loud)
    assert not found[:12].any()
    assert not found[36:].any()
    assert found[seen].min() > 0


def test_without_activation_the_gradient_counts_alone(rng: np.random.Generator) -> None:
    """An activation of zeros, on the frame, is none; a gradient of zeros leaves nothing."""
    squared = rng.random((48, 64)).astype(np.float32)
    zeros = np.zeros((48, 64), np.float32)
    np.testing.assert_array_equal(product(squared, [zeros, zeros], WHOLE), product(squared, [], WHOLE))
    np.testing.assert_array_equal(
        product(squared, [zeros, squared], WHOLE), product(squared, [squared], WHOLE)
    )
    beside = zeros.copy()
    beside[0] = 1
    seen = slice(4, 48), slice(0, 64)
    np.testing.assert_array_equal(product(squared, [beside], seen), product(squared, [], seen))
    assert not product(zeros, [squared], WHOLE).any()


def test_the_unit_is_a_gradients() -> None:
    """Twice the gradient is twice the map, whatever the activation's scale."""
    squared = np.random.default_rng(1).random((48, 64)).astype(np.float32)
    activation = np.random.default_rng(2).random((48, 64)).astype(np.float32)
    one, two = product(squared, [activation], WHOLE), product(4 * squared, [9 * activation], WHOLE)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_the_side_of_a_frame() -> None:
    """That of the square of the same area: a narrow frame is pooled less than its length says."""
    assert side((48, 48)) == 48
    assert side((16, 64)) == 32


def test_the_second_witness_is_its_formula(rng: np.random.Generator) -> None:
    """W = P₆ · C on the frame, and 0 beside it."""
    seen = slice(4, 48), slice(0, 64)
    squared, c = (rng.random((48, 64)).astype(np.float32) for _ in range(2))
    found, finer, _ = witnesses(squared, c, [], seen)
    assert finer is None
    weight = gaussian((44, 64), (20, 30), WIDE * np.sqrt(44 * 64))
    expected = (np.sqrt(squared[seen]) * weight).sum() / weight.sum() * c[seen][20, 30]
    assert found[24, 30] == pytest.approx(expected, rel=0.01)
    assert not found[:4].any()


def test_with_a_finer_layer_both_witnesses_are_their_formulas(rng: np.random.Generator) -> None:
    """V = P₆ · max(F/max F, K/max K) and W = P₆ · (C/max C + F/max F); silent layers are left out."""
    squared, c, fine, layer = rng.random((4, 48, 64)).astype(np.float32)
    wide = pooled(np.sqrt(squared), WIDE * side((48, 64)))
    second, finer, _ = witnesses(squared, c, [fine, layer], WHOLE)
    np.testing.assert_allclose(second, wide * (c / c.max() + fine / fine.max()), rtol=1e-5)
    np.testing.assert_allclose(finer, wide * np.maximum(fine / fine.max(), layer / layer.max()), rtol=1e-5)
    zeros = np.zeros_like(c)
    assert witnesses(squared, c, [zeros, zeros], WHOLE).finer is None
    np.testing.assert_allclose(
        witnesses(squared, c, [zeros, layer], WHOLE).finer, wide * layer / layer.max(), rtol=1e-5
    )


def test_the_expected_effect_is_its_formula(rng: np.random.Generator) -> None:
    """E = S · max(0, (Σ ḡ·(x − B(x))) ⋆ N₄), with B the mean over a square; 0 on the padding."""
    seen = slice(4, 48), slice(0, 64)
    image, mean = rng.random((2, 3, 48, 64)).astype(np.float32) - np.array([0, 0.5])[:, None, None, None]
    image, mean, found = image.astype(np.float32), mean.astype(np.float32), rng.random((48, 64))
    fine = detail(image, seen)
    half = round(AROUND * side((44, 64)) / 2)
    window = image[:, 24 - half : 25 + half, 30 - half : 31 + half]
    np.testing.assert_allclose(fine[:, 24, 30], image[:, 24, 30] - window.mean(axis=(1, 2)), atol=1e-5)
    assert not fine[:, :4].any()
    expected = effect(found.astype(np.float32), mean, fine, seen)
    falls = pooled((mean * fine).sum(axis=0)[seen], ESTIMATED * side((44, 64)))
    np.testing.assert_allclose(expected[seen], found[seen] * np.maximum(falls, 0), rtol=1e-4, atol=1e-7)
    assert not expected[:4].any()


def test_what_rises_and_falls_alike_has_no_effect() -> None:
    """An edge that a network reacts to in both directions: the magnitude is high there, and E is not."""
    image = np.full((1, 48, 64), 0.5, np.float32)
    image[0, 20:28, 10:18] = image[0, 20:28, 44:52] = 0.9
    mean = np.zeros_like(image)
    mean[0, 20:28, 10:18] = 1.0  # all of this spot speaks for the score
    mean[0, 20:28:2, 44:52], mean[0, 21:28:2, 44:52] = 3.0, -3.0
    found = effect(np.ones((48, 64), np.float32), mean, detail(image, WHOLE), WHOLE)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 20 <= row < 28
    assert 10 <= column < 18


def test_with_good_parts_each_pixel_is_its_formula(rng: np.random.Generator) -> None:
    """D = √(P/max P + P'/max P') · d · √(C/max C + L/max L + 0.1), without P' where it is not known."""
    squared, good, difference, c, layer = rng.random((5, 48, 64)).astype(np.float32)
    sigma = POOLED * side((48, 64))
    first, second = pooled(np.sqrt(squared), sigma), pooled(good, sigma)
    weight = difference * np.sqrt(c / c.max() + layer / layer.max() + FLOOR)
    here = first / first.max()
    found = compared(squared, [c, layer], WHOLE, difference, good)
    np.testing.assert_allclose(found, np.sqrt(here + second / second.max()) * weight, rtol=1e-5)
    found = compared(squared, [c, layer], WHOLE, difference)
    np.testing.assert_allclose(found, np.sqrt(here) * weight, rtol=1e-5)


def test_a_difference_counts_without_any_reaction(rng: np.random.Generator) -> None:
    """A model that reacts to nothing leaves the difference; beside the frame nothing is left."""
    seen = slice(12, 36), slice(0, 64)
    difference = rng.random((48, 64)).astype(np.float32)
    nothing = np.zeros((48, 64), np.float32)
    found = compared(nothing, [nothing], seen, difference)
    np.testing.assert_allclose(found[seen], difference[seen] * np.sqrt(FLOOR), rtol=1e-5)
    assert not found[:12].any()
