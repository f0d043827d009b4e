"""Job: one network on one device: time to open, canary, agreement with the CPU's map, time of an explanation."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.timing import seconds
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import GagradError
from gagrad_edge.statistics import rank_correlation
from gagrad_runtime.session.canary import CORRELATION, examine
from gagrad_runtime.session.explainer import Explainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.gpu.machine import Machine
    from gagrad_runtime.explanation.explanation import Explanation

LONGEST = 5.0
"""Seconds after which a figure has enough rounds, so that a slow device cannot take the whole run's time."""


def frame_of(machine: Machine) -> NDArray[np.uint8]:
    """Return the frame that is explained."""
    return np.random.default_rng(0).integers(0, 256, (*machine.size, 3), dtype=np.uint8)


def explain(explainer: Explainer, frame: NDArray[np.uint8], target: int | None, samples: int) -> Explanation:
    """Return the paper's map of ``samples``."""
    return explainer.explain(frame, target, preset="paper", samples=samples)


def run(
    machine: Machine, folder: Path, network: str, device: str, target: str, samples: str, rounds: str
) -> dict[str, Any]:
    """Return the row of ``network`` on ``device``; ``failed`` lists what is not as it must be."""
    bundle = read_bundle(folder / f"{network}.gagrad")
    expected = np.load(folder / f"{network}.npy")
    frame = frame_of(machine)
    backend = machine.open(device)
    try:
        began = time.perf_counter()
        with Explainer(bundle, backend) as explainer:
            build = time.perf_counter() - began
            findings = examine(bundle, explainer)
            # The CPU's target, so that both maps explain the same class even if two scores are close.
            explanation = explain(explainer, frame, int(target), int(samples))
            same = rank_correlation(explanation.saliency.ravel(), expected.ravel()) or 0.0
            image = np.zeros((1, *bundle.manifest.input.shape), np.float32)
            predict = repeated(lambda: explainer.scores(image), int(rounds))
            took: list[dict[str, float]] = []
            runs = repeated(
                lambda: took.append(dict(explain(explainer, frame, int(target), int(samples)).seconds)),
                int(rounds),
            )
            operator = repeated(lambda: explainer.explain(frame, int(target)), int(rounds))
    except GagradError as error:
        return {"failed": [f"{network} on {device}: {error.what}"]}
    least = CORRELATION[backend.precision]
    failed = [f"{network} on {device}: {one}" for one in findings if not one.passed]
    failed += [f"{network} on {device}: {note}" for note in backend.notes]
    if not same >= least:
        failed.append(f"{network} on {device}: the map's rank correlation is {same:.5f}, not {least}")
    return {
        "precision": backend.precision,
        "build": build,
        "canary": max(one.found / one.allowed for one in findings),
        "same": same,
        "predict": statistics.median(predict),
        "explain": statistics.median(runs),
        "p95": float(np.percentile(runs, 95)),
        "sampling": statistics.median(one["explain"] for one in took),
        "operator": statistics.median(operator),
        "failed": failed,
    }


def repeated(call: Callable[[], object], rounds: int) -> list[float]:
    """Return the seconds of at most ``rounds`` calls, after one that does not count."""
    call()
    times: list[float] = []
    while len(times) < rounds and sum(times) < LONGEST:
        times.append(seconds(call))
    return times
