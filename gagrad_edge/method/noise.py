"""The noise bank: the standard-normal tensors of an explanation, fixed by a seed.

``z = numpy.random.Generator(numpy.random.Philox(seed)).standard_normal((T, C, H, W), float32)``. The
generator is counter-based and the values are drawn in row order, so the first ``k`` samples are the
same for every ``T ≥ k`` and a bank can be drawn chunk by chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def generator(seed: int) -> np.random.Generator:
    """Return the generator of the bank of ``seed``, before its first sample."""
    return np.random.Generator(np.random.Philox(seed))


def normal(source: np.random.Generator, samples: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the next ``samples`` of a bank as ``[samples, C, H, W]``, ``shape = (C, H, W)``."""
    return source.standard_normal((samples, *shape), dtype=np.float32)


def noise_chunks(
    seed: int, samples: int, chunk: int, shape: tuple[int, int, int]
) -> Iterator[NDArray[np.float32]]:
    """Yield the bank's ``samples`` tensors of ``shape = (C, H, W)`` as float32 chunks ``[≤ chunk, C, H, W]``.

    Concatenated, the chunks are the bank itself whatever the chunk size is.
    """
    source = generator(seed)
    for start in range(0, samples, chunk):
        yield normal(source, min(chunk, samples - start), shape)
