"""The noise level that a model bears."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.method.noise_level import KEPT, LEVELS, bearable
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.noise import noise_level
from tests.detector import marked


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def detector(detector_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(detector_bundle, device="cpu") as loaded:
        yield loaded


def test_the_largest_level_that_keeps_the_answers() -> None:
    """The first level from above whose share is enough, whatever lies below; else the smallest."""
    assert bearable([0.8, 0.9, KEPT, 0.5]) == (LEVELS[2], KEPT)
    assert bearable([1.0] * len(LEVELS)) == (LEVELS[0], 1.0)
    assert bearable([0.1, 0.2, 0.3, 0.6]) == (LEVELS[-1], 0.6)


def test_a_sure_answer_bears_more_noise_than_a_tight_one(detector: Explainer) -> None:
    """A mark just above the detector's threshold bears less noise than a strong one; the same every time."""
    plain, strong = (marked(*marks).astype(np.float32) for marks in ((), ((40, 40, 0),)))
    for share in np.linspace(0.1, 1, 91):
        faint = (plain + share * (strong - plain)).astype(np.uint8)
        if detector.predict(faint).detections:
            break
    tight, sure = noise_level(detector, [faint]), noise_level(detector, [strong.astype(np.uint8)])
    assert tight.noise_std < sure.noise_std
    assert (sure.kept, sure.images, sure.guessed) == (1.0, 1, False)
    assert noise_level(detector, [faint]) == tight


def test_many_frames_are_spread(explainer: Explainer) -> None:
    """Of 40 frames each second one is measured."""
    frames = [np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8) for seed in range(40)]
    assert noise_level(explainer, frames).images == 20


def test_the_copies_are_the_samplers(explainer: Explainer) -> None:
    """The noise is what the sampler adds at that level: relative to the range of the model input."""
    seen: list[np.ndarray] = []
    outputs = explainer.outputs
    frame = np.full((24, 32, 3), 100, np.uint8)
    frame[:12] = 150
    try:
        explainer.outputs = lambda images: (seen.append(images), outputs(images))[1]  # type: ignore[method-assign]
        noise_level(explainer, [frame])
    finally:
        explainer.outputs = outputs  # type: ignore[method-assign]
    spec = explainer.manifest.input
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (spec.mean, spec.std))
    x = (seen[0][0] - mean) / std
    added = (seen[1] - seen[0]) / std
    assert added.std() == pytest.approx(LEVELS[0] * np.ptp(x), rel=0.02)


def test_a_value_is_kept_while_half_of_it_is(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a task has no answers but values, a copy that keeps half of the value counts."""
    monkeypatch.setattr(explainer.reader, "keeps", lambda *_: None)
    shares = np.array([1.0, 0.9, 0.6, 0.4])
    monkeypatch.setattr(explainer.reader, "confidence", lambda *_: shares)
    found = noise_level(explainer, [np.zeros((24, 32, 3), np.uint8)])
    assert (found.noise_std, found.kept) == (LEVELS[-1], 0.75)


def test_a_measured_level_replaces_the_bundles(explainer: Explainer) -> None:
    """``use_noise`` sets the noise of the operator's map and nothing else."""
    before = explainer.manifest
    level = noise_level(explainer, [np.zeros((24, 32, 3), np.uint8)])
    explainer.use_noise(level)
    assert explainer.manifest is before
