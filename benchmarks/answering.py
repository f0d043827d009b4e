"""Latency and memory on a station: memory over samples, cost of the stability figure, latency, deadlines under load.

python -m benchmarks.answering        (about eight minutes; writes docs/answering.md)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import gagrad_runtime
from benchmarks.child import answer, in_child, whole_peak
from benchmarks.networks import MAKERS, SIZE
from benchmarks.table import machine, markdown, publish
from gagrad_export import BundleOptions, export

NAMES = ("efficientnet_lite0", "resnet50")
DEMO = Path(__file__).parent.parent / "gagrad_edge" / "demo" / "defects.onnx"
FRAMES, DEADLINES = 40, 200
BUDGETS_MS = {"demo": (150, 300), "efficientnet_lite0": (500, 1000)}
INTRODUCTION = """# Latency and memory on a station

ONNX Runtime on the CPU, 224², one session, one frame after the other. {machine}
Reproduce: `python -m benchmarks.answering`.

"""
MEMORY = """## Memory over samples
Peak memory of a whole process that explains one frame three times with T samples, chunk 10.

"""
LATENCY = """
## Frame by frame
`explain` of {frames} different frames with 20 samples, RCAP and stability included. `stability` is the share of the time that
the stability figure takes.

"""
DEADLINE = """
## Deadlines on a loaded machine
`--budget-ms` with up to 1,000 samples, {count} frames, while one busy process per core competes for the processor. `in time` is
the share of frames done within the budget; `+ chunk` the share done within the budget plus the time of one chunk (the median of
this run). The bar is 99 % for `+ chunk`.

"""


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = name
        bundles = _bundles(folder)
        text = INTRODUCTION.format(machine=machine("onnxruntime"))
        text += MEMORY + markdown(("network", "T = 20", "T = 1000", "ratio"), _memory(bundles))
        text += LATENCY.format(frames=FRAMES)
        text += markdown(
            ("network", "p50", "p95", "largest", "stability"), [_latency(item) for item in bundles.items()]
        )
        text += DEADLINE.format(count=DEADLINES)
        text += markdown(
            ("network", "budget", "samples", "p50", "p99", "in time", "+ chunk"), _deadlines(bundles)
        )
    publish("answering", text)


def _bundles(folder: Path) -> dict[str, Path]:
    bundles = {name: folder / f"{name}.gagrad" for name in ("demo", *NAMES)}
    for name, path in bundles.items():
        model = DEMO if name == "demo" else MAKERS[name]()
        export(model, path, size=SIZE, mean=[0.5], std=[0.25], bundle=BundleOptions(feature_layer=None))
    return bundles


def _frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def _memory(bundles: dict[str, Path]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in ("demo", "efficientnet_lite0"):
        few, many = (in_child("benchmarks.answering", bundles[name], samples) for samples in (20, 1000))
        rows.append((name, f"{few / 2**20:.0f} MB", f"{many / 2**20:.0f} MB", f"{many / few:.3f}"))
        print(rows[-1], flush=True)
    return rows


def _latency(item: tuple[str, Path]) -> tuple[str, ...]:
    name, bundle = item
    taken, shares = [], []
    with gagrad_runtime.load(bundle, device="cpu") as explainer:
        for index in range(FRAMES + 2):
            frame = _frame(index)
            began = time.perf_counter()
            seconds = explainer.explain(frame, preset="paper", samples=20).seconds
            taken.append(time.perf_counter() - began)
            shares.append(seconds["stability"] / taken[-1])
    p50, p95 = np.percentile(taken[2:], (50, 95)) * 1000
    row = f"{p50:.0f} ms", f"{p95:.0f} ms", f"{max(taken[2:]) * 1000:.0f} ms", f"{np.median(shares[2:]):.1%}"
    print(name, *row, flush=True)
    return (name, *row)


def _deadlines(bundles: dict[str, Path]) -> list[tuple[str, ...]]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        return [_deadline(name, bundles[name], budget) for name in BUDGETS_MS for budget in BUDGETS_MS[name]]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _deadline(name: str, bundle: Path, budget: float) -> tuple[str, ...]:
    taken, samples, chunks = [], [], []
    with gagrad_runtime.load(bundle, device="cpu") as explainer:
        for index in range(DEADLINES + 2):
            frame = _frame(index)
            began = time.perf_counter()
            found = explainer.explain(frame, preset="paper", samples=1000, budget_ms=budget)
            taken.append((time.perf_counter() - began) * 1000)
            samples.append(found.samples)
            chunks.append(found.seconds["explain"] * 1000 / found.samples * found.provenance.chunk)
    taken, late = taken[2:], budget + float(np.median(chunks))
    p50, p99 = np.percentile(taken, (50, 99))
    row = (
        name,
        f"{budget:g} ms",
        f"{np.median(samples):.0f}",
        f"{p50:.0f} ms",
        f"{p99:.0f} ms",
        f"{np.mean(np.array(taken) <= budget):.1%}",
        f"{np.mean(np.array(taken) <= late):.1%}",
    )
    print(row, flush=True)
    return row


def _peak_of(bundle: Path, samples: int) -> int:
    with gagrad_runtime.load(bundle, device="cpu") as explainer:
        for seed in range(3):
            explainer.explain(_frame(seed), preset="paper", samples=samples, chunk=10)
    return whole_peak()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        answer(_peak_of(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        main()
