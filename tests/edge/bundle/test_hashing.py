"""Hashes of many pieces on all cores are those of each piece."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gagrad_edge.bundle import hashing
from gagrad_edge.bundle.hashing import sha256_of_each

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("cores", [None, 1, 7])
def test_each_piece_gets_its_own_hash(monkeypatch: pytest.MonkeyPatch, cores: int | None) -> None:
    """In the order of the pieces, whatever their sizes, on any number of cores."""
    monkeypatch.setattr(hashing.os, "cpu_count", lambda: cores)
    pieces = [RNG.bytes(int(size)) for size in RNG.integers(0, 20000, 50)]
    assert sha256_of_each([*pieces, memoryview(pieces[3])]) == [
        hashlib.sha256(piece).hexdigest() for piece in [*pieces, pieces[3]]
    ]
    assert sha256_of_each([]) == []


def test_an_error_is_the_callers() -> None:
    """It is not lost in a thread."""
    with pytest.raises(TypeError):
        sha256_of_each([b"x", "text"])  # type: ignore[list-item]
