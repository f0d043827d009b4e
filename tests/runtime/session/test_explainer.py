"""The explainer against the method written in numpy, and its promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import FrameError, ModelError, SettingError, TargetError
from gagrad_edge.method.reference import rcap_levels, recover
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.selftest import run_selftest


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def explanation(explainer: Explainer, frame: np.ndarray) -> Explanation:
    return explainer.explain(frame, rcap=True)


def test_the_result_is_complete(explanation: Explanation) -> None:
    """An explanation has a map 0..1 of the model's size, its settings, target, RCAP and probability."""
    assert explanation.saliency.shape == (24, 32)
    assert explanation.saliency.dtype == np.float32
    assert (explanation.saliency.min(), explanation.saliency.max()) == (0, 1)
    assert (explanation.samples, explanation.seed) == (3, 0)
    assert explanation.target == explanation.predicted
    assert 0 <= explanation.rcap.score <= 1
    assert explanation.rcap.levels == (0.9, 0.8, 0.7, 0.6, 0.5)
    assert explanation.probability is not None


def test_the_same_twice_bit_for_bit(
    explainer: Explainer, frame: np.ndarray, explanation: Explanation, tiny_bundle: Path
) -> None:
    """In the same process, and in a session opened anew."""
    again = explainer.explain(frame, rcap=True)
    with gagrad_runtime.load(tiny_bundle) as other:
        anew = other.explain(frame, rcap=True)
    for result in (again, anew):
        np.testing.assert_array_equal(result.saliency, explanation.saliency)
        assert result.rcap.score == explanation.rcap.score


@pytest.mark.parametrize("chunk", [1, 5, 6, 100])
def test_the_chunk_changes_rounding_only(
    explainer: Explainer, frame: np.ndarray, explanation: Explanation, chunk: int
) -> None:
    """A last chunk that is not full is as good as the others."""
    other = explainer.explain(frame, chunk=chunk).saliency
    assert (np.abs(other - explanation.saliency) < 1e-4).mean() > 0.99


def test_seed_samples_and_target_matter(
    explainer: Explainer, frame: np.ndarray, explanation: Explanation
) -> None:
    """Another seed, number of samples, percentile, noise, target or contrast gives another map."""
    other_class = next(index for index in range(3) if (index,) != explanation.target.index)
    for settings in ({"seed": 1}, {"samples": 12}, {"percentile": 0.5}, {"noise_std": 0.3}):
        changed = explainer.explain(frame, **settings)
        assert not np.array_equal(changed.saliency, explanation.saliency), settings
    other = explainer.explain(frame, other_class)
    difference = explainer.explain(frame, explanation.target.index, against=other_class)
    assert not np.array_equal(other.saliency, explanation.saliency)
    assert not np.array_equal(difference.saliency, explanation.saliency)


def test_recovered_images_are_the_references(
    explainer: Explainer, frame: np.ndarray, explanation: Explanation
) -> None:
    """RCAP's ratios come from the graph, and equal numpy's on the same map."""
    _, ratio = recover(np.zeros((3, 24, 32), np.float32), explanation.saliency, rcap_levels(0.5, 0.1))
    np.testing.assert_allclose(explanation.rcap.ratio, ratio[ratio >= 0], atol=1e-6)


def test_progress_counts_to_the_end(explainer: Explainer, frame: np.ndarray) -> None:
    """The progress callback is called after each chunk, up to the number of samples."""
    seen: list[tuple[int, int]] = []
    explainer.explain(frame, samples=10, chunk=4, progress=lambda *count: seen.append(count))
    assert seen == [(3, 10), (6, 10), (8, 10), (10, 10)], "two pairs of chunks"


@pytest.mark.parametrize(
    "settings",
    [{"samples": 1}, {"seed": -1}, {"percentile": 1.5}, {"noise_std": 0.0}, {"chunk": 0}],
    ids=str,
)
def test_settings_out_of_range(explainer: Explainer, frame: np.ndarray, settings: dict[str, float]) -> None:
    """A setting outside its range raises SettingError."""
    with pytest.raises(SettingError, match="out of range"):
        explainer.explain(frame, **settings)  # type: ignore[arg-type]


def test_bad_frames_and_targets(explainer: Explainer, frame: np.ndarray) -> None:
    """A float frame and an unknown class raise FrameError and TargetError."""
    with pytest.raises(FrameError):
        explainer.explain(frame.astype(np.float32))  # 0..255
    with pytest.raises(TargetError):
        explainer.explain(frame, "scrach")


def test_a_constant_image_is_said(explainer: Explainer) -> None:
    """Without contrast there is no noise: every copy is the same, and the variance is 0."""
    codes = {c.code for c in explainer.explain(np.full((24, 32, 3), 90, np.uint8)).cautions}
    assert "constant-image" in codes


def test_nan_draws_no_map(explainer: Explainer, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that are not numbers are an error, never a picture."""
    real = explainer.backend.download

    def poisoned(tensor: object) -> np.ndarray:
        return real(tensor) * np.float32("nan")  # type: ignore[arg-type]

    monkeypatch.setattr(explainer.backend, "download", poisoned)
    with pytest.raises(ModelError, match="NaN"):
        explainer.explain(frame)


def test_closed_explainer_says_so(tiny_bundle: Path, frame: np.ndarray) -> None:
    """An explainer that is closed raises SettingError when used."""
    explainer = gagrad_runtime.load(tiny_bundle)
    explainer.close()
    with pytest.raises(SettingError, match="closed"):
        explainer.explain(frame)


def test_selftest_passes_here_and_can_fail(tiny_bundle: Path) -> None:
    """The map of the exporter is met on this machine; with other noise it is not."""
    bundle = read_bundle(tiny_bundle)
    with gagrad_runtime.load(tiny_bundle) as explainer:
        assert run_selftest(bundle, explainer).passed
        original = explainer.explain
        explainer.explain = lambda frame, target, **settings: original(  # type: ignore[method-assign]
            frame, target, **{**settings, "seed": settings["seed"] + 1}
        )
        assert not run_selftest(bundle, explainer).passed


def test_what_was_predicted_is_not_asked_again(tiny_bundle: Path) -> None:
    """``explain`` of the frame that ``predict`` saw last runs the model once less; the bits are the same."""
    frames = [np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8) for seed in range(2)]
    with gagrad_runtime.load(tiny_bundle, device="cpu") as explainer:
        expected = [explainer.explain(frame, cover=False) for frame in frames]
        runner: Any = explainer.graphs.runner("predict")
        run, runs = runner.run, []

        def counted(*given: Any) -> Any:
            runs.append(1)
            return run(*given)

        runner.run = counted
        for asked, count in (((0, 0), 1), ((0, 1), 2), ((1, 1), 1)):
            runs.clear()
            explainer.predict(frames[asked[0]])
            found = explainer.explain(frames[asked[1]], cover=False)
            assert len(runs) == count
            assert (found.saliency == expected[asked[1]].saliency).all()
            assert (found.scores == expected[asked[1]].scores).all()
        runs.clear()
        explainer.explain(frames[1], cover=False)  # what was kept is used once
        assert len(runs) == 1
