"""Deadlines, settling, and maps that get better: how many samples, and why it stopped."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gagrad_runtime
from gagrad_runtime.sampling.estimation import MIN_SAMPLES, Pace, next_size
from gagrad_runtime.session.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the clock by one that goes on by a millisecond each time it is read."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 1000)


def test_pace_judges_by_the_slowest() -> None:
    """The pace counts by the slowest remembered chunk and finish, and is None before the first chunk."""
    pace = Pace()
    assert pace.samples_in(1.0, reserve=0.1) is None
    pace.add_chunk(10, 0.1)
    pace.add_chunk(10, 0.2)
    assert pace.samples_in(1.0, reserve=0.1) == 45
    pace.add_finish(0.5)
    assert pace.samples_in(1.0, reserve=0.1) == 25
    assert pace.samples_in(0.1, reserve=0.1) is not None
    assert pace.samples_in(0.1, reserve=0.1) < 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("done", "first", "affordable", "size"),
    [
        (0, True, None, 2),
        (2, False, None, 2),
        (0, True, 100, 10),
        (0, True, 8, 4),
        (0, True, -5, 2),
        (2, False, -5, 2),
        (4, True, 1, 0),
        (4, True, 2, 1),
        (5, False, 1, 1),
        (5, False, 0, 0),
        (4, True, 100, 10),
    ],
)
def test_chunks_under_a_deadline(done: int, first: bool, affordable: int | None, size: int) -> None:
    """next_size fits the chunk to the time left, in equal pairs, with at least four samples in all."""
    assert next_size(10, done, first_of_pair=first, affordable=affordable) == size


@pytest.mark.usefixtures("clock")
def test_no_time_still_gives_four_samples_and_says_so(explainer: Explainer, frame: np.ndarray) -> None:
    """A budget of almost nothing gives the four least samples, and a caution that the map came late."""
    found = explainer.explain(frame, samples=50, budget_ms=0.001)
    assert found.samples == MIN_SAMPLES
    assert found.provenance.stopped == "budget"
    assert [one.code for one in found.cautions if one.code == "late"] == ["late"]


@pytest.mark.usefixtures("clock")
def test_enough_time_gives_all(explainer: Explainer, frame: np.ndarray) -> None:
    """And then the map is the one without a budget, up to the rounding of other chunks."""
    found = explainer.explain(frame, samples=12, budget_ms=60_000)
    assert (found.samples, found.provenance.stopped) == (12, "samples")
    plain = explainer.explain(frame, samples=12)
    assert (np.abs(found.saliency - plain.saliency) < 1e-4).mean() > 0.99


@pytest.mark.usefixtures("clock")
def test_a_budget_between_stops_in_between(explainer: Explainer, frame: np.ndarray) -> None:
    """With more samples asked for than a machine makes in the time."""
    found = explainer.explain(frame, samples=1_000_000, budget_ms=300)
    assert MIN_SAMPLES < found.samples < 1_000_000
    assert found.provenance.stopped == "budget"


def test_stops_when_stable(explainer: Explainer, frame: np.ndarray) -> None:
    """until_stable stops at the stability asked for, with the map of that many samples."""
    found = explainer.explain(frame, samples=5000, until_stable=0.9)
    assert found.provenance.stopped == "stable"
    assert found.stability is not None
    assert found.stability >= 0.9
    assert MIN_SAMPLES <= found.samples < 5000
    again = explainer.explain(frame, samples=found.samples, chunk=found.provenance.chunk)
    assert (np.abs(found.saliency - again.saliency) < 1e-4).mean() > 0.99


def test_not_settled_is_said(explainer: Explainer, frame: np.ndarray) -> None:
    """A map that ends below the stability asked for carries a caution."""
    found = explainer.explain(frame, samples=4, until_stable=0.9999)
    assert found.provenance.stopped == "samples"
    assert {"unstable", "not-settled"} & {one.code for one in found.cautions}


def test_refining_ends_where_explain_does(explainer: Explainer, frame: np.ndarray) -> None:
    """Doubling, each complete; explaining something else in between changes nothing."""
    steps = []
    for step in explainer.refine(frame, samples=20):
        steps.append(step)
        explainer.explain(frame, 1)
    assert [step.samples for step in steps] == [4, 8, 16, 20]
    assert all(step.stability is not None for step in steps)
    plain = explainer.explain(frame, samples=20)
    assert (np.abs(steps[-1].saliency - plain.saliency) < 1e-4).mean() > 0.99
    assert [step.samples for step in explainer.refine(frame, method="gradient")] == [1]


def test_the_noise_that_stays_is_the_usual_samples(explainer: Explainer, frame: np.ndarray) -> None:
    """A long explanation leaves no more on the device than the usual one, and does not change it."""
    # Chunks of another size, which the tests before left, go while it runs.
    explainer.explain(frame, preset="paper")
    before = explainer.explain(frame, preset="paper")
    kept = sum(tensor.shape[0] for tensor in explainer._work._noise._kept.values())
    explainer.explain(frame, preset="paper", samples=300)
    after = sum(tensor.shape[0] for tensor in explainer._work._noise._kept.values())
    assert kept == explainer.manifest.method.samples
    assert after <= explainer.manifest.method.samples
    np.testing.assert_array_equal(explainer.explain(frame, preset="paper").saliency, before.saliency)


def test_threads_take_turns(explainer: Explainer, frame: np.ndarray) -> None:
    """Eight threads, two targets: each gets the map that it would get alone."""
    alone = [explainer.explain(frame, target).saliency for target in (0, 1)]
    found: list[tuple[int, np.ndarray]] = []

    def work(target: int) -> None:
        found.append((target, explainer.explain(frame, target).saliency))

    workers = [threading.Thread(target=work, args=(index % 2,)) for index in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8
    for target, saliency in found:
        np.testing.assert_array_equal(saliency, alone[target])
