"""The noise bank."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.method.noise import noise_chunks

SHAPE = (3, 5, 7)


@pytest.mark.parametrize("chunk", [1, 2, 5, 20])
def test_the_bank_does_not_depend_on_the_chunk(chunk: int) -> None:
    """Chunks joined are the bank of the definition, drawn in one go."""
    bank = np.random.Generator(np.random.Philox(4)).standard_normal((7, *SHAPE), dtype=np.float32)
    np.testing.assert_array_equal(np.concatenate(list(noise_chunks(4, 7, chunk, SHAPE))), bank)


def test_more_samples_begin_with_the_same_ones() -> None:
    """The first k samples are the same for every T ≥ k."""
    few, many = (np.concatenate(list(noise_chunks(0, t, 3, SHAPE))) for t in (4, 9))
    np.testing.assert_array_equal(few, many[:4])


def test_another_seed_is_other_noise() -> None:
    """Another seed draws other noise."""
    (one,), (two,) = (list(noise_chunks(seed, 1, 1, SHAPE)) for seed in (0, 1))
    assert not np.array_equal(one, two)
