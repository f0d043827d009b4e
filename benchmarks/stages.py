"""Where the operator's map spends its processor time: each graph, and what is done around the graphs.

    python -m benchmarks.stages [--models …] [--repeats 9]

One thread, and processor time, so that other programs on the machine count less. Each explanation is a frame that was not seen
before it, with the station's settings: T = 5 in two chunks, no RCAP, the covering test. `rows` are the images or samples of a run. What the
program adds to the graphs is `around`. About two minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

import gagrad_runtime
from benchmarks.networks import MAKERS, SIZE
from benchmarks.processor import processor
from benchmarks.table import machine, markdown
from gagrad_edge import abi
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_export import export

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.session.explainer import Explainer

NETWORKS = ("efficientnet_lite0", "mobilenet_v3_large", "resnet50")
AROUND = "around"


class Timed:
    """A runner that adds up the processor time of its runs."""

    def __init__(self, runner: Any, role: str, spent: dict[str, float]) -> None:
        self._runner, self._role, self._spent = runner, role, spent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def run(self, inputs: Any, *into: Any) -> Any:
        """Run, and add the time to the role with its rows."""
        rows = next((inputs[name].shape[0] for name in (abi.NOISE, abi.IMAGE) if name in inputs), 0)
        began = time.process_time()
        outputs = self._runner.run(inputs, *into)
        key = f"{self._role}, {rows} row{'s' if rows > 1 else ''}" if rows else self._role
        self._spent[key] += time.process_time() - began
        return outputs


def measured(explainer: Explainer, repeats: int, **settings: Any) -> dict[str, list[float]]:
    """Return milliseconds of processor time by stage, one figure for each explanation."""
    spent: dict[str, float] = defaultdict(float)
    graphs = explainer.graphs
    plain = graphs.runner

    def timed(role: Any, variant: str | None = None) -> Any:
        return Timed(plain(role, variant), role, spent)

    explainer.explain(_frame(0), **settings)
    graphs.runner = timed  # type: ignore[method-assign]
    explainer._work._sampler._combine = timed("combine")
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(repeats):
        frame = _frame(number + 1)
        spent.clear()
        began = time.process_time()
        explainer.explain(frame, **settings)
        whole = time.process_time() - began
        for stage, seconds in spent.items():
            found[stage].append(1000 * seconds)
        found[AROUND].append(1000 * (whole - sum(spent.values())))
        found["whole"].append(1000 * whole)
    return found


def _frame(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages")
    parser.add_argument("--models", nargs="+", default=list(NETWORKS), choices=list(MAKERS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--bundles", type=Path, help="Folder of bundles NETWORK.gagrad that are there already."
    )
    given = parser.parse_args()
    print(machine("onnxruntime"), processor().text(), f"{given.repeats} explanations.\n", flush=True)
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for network in given.models:
            path = (given.bundles or Path(folder)) / f"{network}.gagrad"
            if not path.exists():
                export(MAKERS[network](), path, size=SIZE, mean=[0.5], std=[0.25])
            bundle = read_bundle(path)
            with gagrad_runtime.load(path, device="cpu", threads=1) as explainer:
                found = measured(explainer, given.repeats, rcap=False, chunk=10)
            whole = statistics.median(found["whole"])
            for stage, taken in found.items():
                middle = statistics.median(taken)
                count = _operators(bundle, stage.partition(",")[0])
                rows.append((network, stage, f"{middle:.1f} ms", f"{100 * middle / whole:.1f} %", count))
                print(rows[-1], flush=True)
    print(markdown(("network", "stage", "processor time", "share", "operators"), rows))


def _operators(bundle: Bundle, role: str) -> object:
    """Return the number of operators of a graph; a dash for what is no graph."""
    graph = next((graph.role for graph in bundle.manifest.graphs if graph.role == role), None)
    return "–" if graph is None else len(onnx.load_from_string(bundle.graph(graph)).graph.node)


if __name__ == "__main__":
    main()
