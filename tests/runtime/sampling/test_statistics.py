"""The state of the samples, on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gagrad_runtime import load

FRAME = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(("samples", "sets"), [(4, 1), (6, 2), (8, 2), (16, 2)])
def test_memory_is_taken_for_the_runs_that_there_are(tiny_bundle: Path, samples: int, sets: int) -> None:
    """A half that is one run needs one set of tensors, and no half ever more than two."""
    with load(tiny_bundle, device="cpu", trial=False) as explainer:
        found = [explainer.explain(FRAME, samples=samples, chunk=2) for _ in range(2)]
        states = explainer._work._sampler._states
        assert [len(half) for half in states] == [sets, sets]
    assert np.array_equal(found[0].saliency, found[1].saliency)
    assert np.ptp(found[0].saliency) > 0
