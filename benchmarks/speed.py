"""``accumulate`` against the forward pass, and against what users have today, interleaved in one run.

    python -m benchmarks.speed [--models …] [--batches 1 10 20] [--repeats 7] [--no-peers]

Writes docs/speed.md. About twenty minutes with everything on two cores; nothing else should run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import peers
from benchmarks.networks import NAMES, SIZE, Subject, subject
from benchmarks.table import machine, markdown, publish
from gagrad_export.assemble import accumulate_graph, predict_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.settings import input_spec
from gagrad_export.verify.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

TARGET, NOISE_STD = 1, 0.15
SLOW = 15.0
"""A peer that takes this many forward passes is run fewer times."""
INTRODUCTION = """# Speed

ONNX Runtime on the CPU. `forward` is the bundle's `predict` graph on B images, `accumulate` the model, the
gradients of B noisy copies and the running statistics. Each figure is the median over {repeats} rounds of the
ratio to the forward pass of the same round, smallest and largest in brackets; all columns of a row take turns in
every round. 2.0 is the floor: the gradient needs the forward pass's multiplications once more.

PyTorch columns: `batch` is one eager batch, the gradient only; `authors` is the paper's program, one copy at a
time, with its guide; `captum` is NoiseTunnel(Saliency, vargrad). `onnx-ad` is its reverse graph in ONNX Runtime,
`OpenVINO` our `accumulate` graph there. A dash: it cannot run this network.

Reproduce: `python -m benchmarks.speed`. {machine}

"""


@dataclass(frozen=True)
class Contest:
    """What runs on one network at one batch size: names to functions without arguments."""

    forward: Callable[[], object]
    others: dict[str, Callable[[], object]]


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 10, 20])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    columns = ["accumulate"] if options.no_peers else ["accumulate", *_PEERS]
    rows = []
    for name in options.models:
        made = subject(name)
        for batch in options.batches:
            contest = contest_of(made, batch, peers_too=not options.no_peers)
            milliseconds, ratios = measure(contest, options.repeats)
            cells = [_cell(ratios.get(column)) for column in columns]
            rows.append((name, batch, f"{milliseconds:.0f} ms", *cells))
            print(rows[-1], flush=True)
    distributions = ["onnxruntime", "torch"]
    if not options.no_peers:
        distributions += ["captum", "onnx-ad", "openvino"]
    text = INTRODUCTION.format(repeats=options.repeats, machine=machine(*distributions))
    # A part is printed only: the page in docs/ is of the whole.
    if options.models != list(NAMES):
        print(text + markdown(("network", "B", "forward", *columns), rows))
    else:
        publish("speed", text + markdown(("network", "B", "forward", *columns), rows))


_PEERS = ("PyTorch batch", "PyTorch authors", "captum", "onnx-ad", "OpenVINO")


def contest_of(made: Subject, batch: int, *, peers_too: bool) -> Contest:
    """Return what runs on ``made`` at ``batch``."""
    canonical = canonicalise(made.model, size=SIZE)
    spec = input_spec(canonical, mean=[0.5], std=[0.25], colour=None, resize="stretch", bit_depth=16)
    accumulate, _ = accumulate_graph(canonical, spec)
    predict = open_session(predict_graph(canonical, spec), "predict")
    session = open_session(accumulate, "accumulate")
    rng = np.random.default_rng(0)
    shape = canonical.input_shape
    image = rng.uniform(0, 1, (1, *shape)).astype(np.float32)
    copies = rng.standard_normal((batch, *shape)).astype(np.float32)
    cotangent = np.zeros((1, *canonical.score_shape), np.float32)
    cotangent[0, TARGET] = 1
    state = np.zeros(shape, np.float32)
    feeds: dict[str, Any] = {"image": image, "noise_std": np.float32(NOISE_STD), "cotangent": cotangent}
    feeds |= {"count": np.float32(0), "abs_sum": state, "mean": state, "m2": state}
    feeds = {name: np.asarray(value) for name, value in feeds.items()}
    images = np.repeat(image, batch, 0)
    others: dict[str, Callable[[], object]] = {
        "accumulate": lambda: session.run(None, {**feeds, "noise": copies})
    }
    if peers_too:
        others |= _peers(made, accumulate, feeds, copies)
    return Contest(lambda: predict.run(None, {"image": images}), others)


def _peers(
    made: Subject, accumulate: bytes, feeds: dict[str, Any], copies: NDArray[np.float32]
) -> dict[str, Callable[[], object]]:
    """Return the peers that can run; one that cannot is left out, and says so."""
    makers: dict[str, Callable[[], peers.Run]] = {
        "onnx-ad": lambda: peers.onnx_ad_graph(made.model, TARGET),
        "OpenVINO": lambda: peers.openvino_graph(accumulate, feeds),
    }
    module = made.module
    if module is not None:
        makers["PyTorch batch"] = lambda: peers.eager_batch(module, TARGET)
        makers["PyTorch authors"] = lambda: peers.authors_algorithm(module, TARGET)
        makers["captum"] = lambda: peers.captum_noise_tunnel(module, TARGET)
    runs: dict[str, Callable[[], object]] = {}
    for name, make in makers.items():
        try:
            run = make()
            run(copies)
        except Exception as error:  # noqa: BLE001 - a peer fails in its own ways; the table shows a dash
            print(f"{name} cannot run {made.name}: {str(error).splitlines()[0][:120]}", flush=True)
            continue
        runs[name] = lambda run=run: run(copies)  # type: ignore[misc]
    return runs


def measure(contest: Contest, repeats: int) -> tuple[float, dict[str, list[float]]]:
    """Return the median milliseconds of the forward pass, and each other's ratios to it, round by round."""
    forwards: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in contest.others}
    contest.forward()
    for run in contest.others.values():
        run()
    for _ in range(repeats):
        base = _seconds(contest.forward)
        forwards.append(base)
        for name, run in contest.others.items():
            if len(ratios[name]) >= 3 and statistics.median(ratios[name]) > SLOW:
                continue
            ratios[name].append(_seconds(run) / base)
    return 1e3 * statistics.median(forwards), ratios


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _cell(ratios: Sequence[float] | None) -> str:
    if not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


if __name__ == "__main__":
    main()
