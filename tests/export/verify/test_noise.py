"""The exporter's guess of the noise that a model bears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.noise_level import LEVELS, USUAL
from gagrad_export.verify import noise
from gagrad_export.verify.noise import guessed_noise
from tests.models import build_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def guess(monkeypatch: pytest.MonkeyPatch, predict: Callable[[np.ndarray], np.ndarray]) -> noise.NoiseLevel:
    """Return the guess for a model that is a function of the images ``[N, 3, 48, 64]``."""

    class Sessions:
        def __init__(self, _: object) -> None:
            self.predict = predict

    monkeypatch.setattr(noise, "Sessions", Sessions)
    return guessed_noise({}, build_spec(48, 64))


def roughness(images: np.ndarray) -> np.ndarray:
    """Return the standard deviation between neighbours, [N], which only noise changes much."""
    return np.asarray(np.diff(images, axis=3).std(axis=(1, 2, 3)))


def test_a_guess_is_no_more_than_the_usual_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that bears any noise gets the usual level, with the share that was kept and without images."""
    found = guess(monkeypatch, lambda images: np.tile(np.array([[0.0, 1.0]], np.float32), (len(images), 1)))
    assert (found.noise_std, found.kept, found.images, found.guessed) == (USUAL, 1.0, 0, True)


def test_a_model_that_noise_confuses_gets_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rough images are another class: the level is the largest at which most copies are smooth enough."""

    def predict(images: np.ndarray) -> np.ndarray:
        rough = roughness(images)
        return np.stack([np.full_like(rough, 0.085), rough], axis=1).astype(np.float32)

    found = guess(monkeypatch, predict)
    assert LEVELS[-1] <= found.noise_std < USUAL


@pytest.mark.parametrize(("size", "kept"), [(0.4, 1.0), (0.6, 0.0)])
def test_a_single_score_may_change_by_half(monkeypatch: pytest.MonkeyPatch, size: float, kept: float) -> None:
    """One score has no class: it is kept while it changes by less than half of itself."""

    def predict(images: np.ndarray) -> np.ndarray:
        scores = np.full((len(images), 1), -2.0, np.float32)
        return scores if len(images) == 1 else scores * np.float32(1 + size)

    assert guess(monkeypatch, predict).kept == kept


def test_maps_have_the_class_of_their_highest_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of scores with places, the class with the highest score anywhere counts."""

    def predict(images: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(images), 3, 4, 5), np.float32)
        scores[:, 1, 2, 3] = 1
        if len(images) > 1:
            scores[:, 1] = np.roll(scores[:, 1], 1, axis=1)  # elsewhere
        return scores

    assert guess(monkeypatch, predict).kept == 1


def test_a_bundle_has_its_guess(tiny_bundle: Path) -> None:
    """What is in the manifest is what the graphs that ship give."""
    bundle = read_bundle(tiny_bundle)
    graphs = {GraphKey("predict"): bundle.graph_file("predict")}
    assert bundle.manifest.method.operator == guessed_noise(graphs, bundle.manifest.input)
