"""Forms and settings that may make ``accumulate`` faster here, against the shipped one, in turns.

    python -m benchmarks.levers [--models …] [--batch 10] [--repeats 15]

What pays depends on the processor (``benchmarks.processor``), so this is run on each kind before a form is changed. Each
row is a ratio to the shipped graph in the same round: the median, smallest and largest in brackets. ``map`` is the rank
correlation of Σ|g| with the shipped graph's; a row that is marked as a bound is wrong on purpose, and shows what the
best possible form of that operator could win. About five minutes for a network on two cores; nothing else should run.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.networks import NAMES, SIZE, subject
from benchmarks.processor import processor
from benchmarks.products import _feeds
from benchmarks.table import machine, markdown
from benchmarks.timing import seconds, spread
from gagrad_edge import abi
from gagrad_edge.statistics import rank_correlation
from gagrad_export import lower
from gagrad_export.assemble import accumulate_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.emit import INTERNAL
from gagrad_export.lower.gate import lower_gate_by_comparison
from gagrad_export.lower.interleave import lower_phase_by_slice
from gagrad_export.settings import input_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gagrad_edge.input import InputSpec
    from gagrad_export.canonicalise import Canonical

_GATE, _PHASE = (INTERNAL, "Gate"), (INTERNAL, "Phase")
SHIPPED = "as shipped"


def forms(model: Canonical, spec: InputSpec) -> dict[str, bytes]:
    """Return complete graphs by what is different in them."""

    def graph() -> bytes:
        return accumulate_graph(model, spec)[0].complete()

    found = {SHIPPED: graph()}
    comparison, by_slice = lower_gate_by_comparison, lower_phase_by_slice
    with _table(lower._LATE, {_GATE: comparison}):
        found["masks as comparisons"] = graph()
    with _table(lower._LATE, {_PHASE: by_slice}):
        found["phases as slices"] = graph()
    with _table(lower._LATE, {_GATE: comparison, _PHASE: by_slice}):
        found["both"] = graph()
    with _table(lower._EARLY, {}, without=("", "HardSwish")):
        found["HardSwish as one operator"] = graph()
    found["bound: every HardSigmoid a Relu"] = _relus(found[SHIPPED])
    return found


@contextmanager
def _table(table: Any, changed: Any, without: Any = None) -> Iterator[None]:
    """Change a table of lowerings for the body."""
    before = dict(table)
    table.update(changed)
    table.pop(without, None)
    try:
        yield
    finally:
        table.clear()
        table.update(before)


def _relus(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    for node in model.graph.node:
        if node.op_type == "HardSigmoid":
            node.op_type = "Relu"
            del node.attribute[:]
    changed: bytes = model.SerializeToString()
    return changed


def runs(found: dict[str, bytes], batch: int) -> dict[str, Callable[[], Any]]:
    """Return a run of each form, and of the shipped one with other settings; each returns Σ|g|, or None."""
    made: dict[str, Callable[[], Any]] = {}
    output = abi.STATE_OUT[abi.ABS_SUM]
    for name, data in found.items():
        session = _session(data)
        feeds = _feeds(session, batch)
        made[name] = lambda session=session, feeds=feeds: session.run([output], feeds)[0]  # type: ignore[misc]
    session = _session(found[SHIPPED])
    made["outputs allocated before"] = _bound(session, _feeds(session, batch))
    half = _feeds(session, batch // 2)

    def halves() -> None:
        session.run([output], half)
        session.run([output], half)

    made["two chunks of half the size"] = halves
    return made


def _session(data: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # the runtime's settings
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _bound(session: Any, feeds: dict[str, Any]) -> Callable[[], Any]:
    """Return a run by I/O binding into outputs that are allocated once."""
    first = session.run(None, feeds)
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
    outputs = {
        port.name: onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros_like(value))
        for port, value in zip(session.get_outputs(), first, strict=True)
    }
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)

    def run() -> Any:
        session.run_with_iobinding(binding)
        return outputs[abi.STATE_OUT[abi.ABS_SUM]].numpy()

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levers")
    parser.add_argument(
        "--models", nargs="+", default=["mobilenet_v3_large", "efficientnet_lite0"], choices=NAMES
    )
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    print(
        machine("onnxruntime"),
        processor().text(),
        f"B = {given.batch}, {given.repeats} rounds.\n",
        flush=True,
    )
    rows = []
    for network in given.models:
        model = canonicalise(subject(network).model, size=SIZE)
        every = runs(forms(model, input_spec(model, mean=[0.5], std=[0.25])), given.batch)
        maps = {name: run() for name, run in every.items()}
        times: dict[str, list[float]] = {name: [] for name in every}
        for _ in range(given.repeats):
            for name, run in every.items():
                run()  # what the one before left in the caches and on the threads
                times[name].append(seconds(run))
        for name, taken in times.items():
            ratios = [one / shipped for one, shipped in zip(taken, times[SHIPPED], strict=True)]
            rows.append(
                (
                    network,
                    name,
                    f"{1000 * statistics.median(taken):.0f} ms",
                    spread(ratios),
                    _same(maps, name),
                )
            )
            print(rows[-1], flush=True)
    print(markdown(("network", "what", "time", "over shipped", "map"), rows))


def _same(maps: dict[str, Any], name: str) -> str:
    if maps[name] is None or name.startswith("bound"):
        return "–"
    return f"{rank_correlation(maps[name].ravel(), maps[SHIPPED].ravel()):.5f}"


if __name__ == "__main__":
    main()
