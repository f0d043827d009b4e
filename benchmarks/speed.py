"""``accumulate`` against the forward pass, and against what users have today, interleaved in one run.

    python -m benchmarks.speed [--models …] [--batches 1 10 20] [--repeats 5] [--no-peers]

Writes docs/speed.md, or prints only when not all models are asked for. About 25 minutes with everything on two
cores; nothing else should run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks import end_to_end, exporting, memory
from benchmarks.contest import OURS, PEERS, Contest
from benchmarks.networks import NAMES, subject
from benchmarks.table import machine, markdown, publish
from benchmarks.timing import spread

INTRODUCTION = """# Speed

ONNX Runtime on the CPU. `forward` is the bundle's `predict` graph on B images. `in turns` and `alone` are
`accumulate` (the model, the gradients of B noisy copies and the running statistics) over it, the median of
{repeats} rounds, smallest and largest in brackets. **In turns**: forward, accumulate, forward, accumulate, the figure of
[performance.md](performance.md). ONNX Runtime's threads go on spinning behind a run and take a core from the other session, which
weighs more on the shorter of the two. **Alone**: each behind a run of its own, as in an explanation. Everything
else is over the forward pass alone. All columns of a row take turns in every round. 2.0 is the floor: the gradient
needs the forward pass's multiplications once more.

PyTorch columns: `batch` is one eager batch, the gradient only; `authors` is the paper's program, one copy at a
time, with its guide; `captum` is NoiseTunnel(Saliency, vargrad). All take the gradient of the input only. `onnx-ad`
is its reverse graph in ONNX Runtime, `OpenVINO` our `accumulate` graph there, in float32. A dash: it cannot run this
network, see below.

`memory` is the peak of a chunk over that of PyTorch's eager batch with frozen weights: growth of a process from the
loaded graph to the peak of {memory_runs} runs, in MB.

Reproduce: `python -m benchmarks.speed`. {machine}

"""


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 10, 20])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    columns = OURS if options.no_peers else (*OURS, *PEERS)
    rows: list[tuple[object, ...]] = []
    notes: list[str] = []
    for name in options.models:
        contest = Contest(subject(name))
        for batch in options.batches:
            forwards, ratios = contest.measure(batch, options.repeats, peers_too=not options.no_peers)
            cells = [spread(ratios.get(column)) for column in columns]
            forward = f"{1e3 * statistics.median(forwards):.0f} ms"
            rows.append((name, batch, forward, *cells, _memory(contest, batch)))
            print(rows[-1], flush=True)
        notes += contest.notes
    distributions = ["onnxruntime", "torch"]
    if not options.no_peers:
        distributions += ["captum", "onnx-ad", "openvino"]
    text = INTRODUCTION.format(
        repeats=options.repeats, memory_runs=memory.RUNS, machine=machine(*distributions)
    )
    text += markdown(("network", "B", "forward", *columns, "memory"), rows)
    if notes:
        text += "\nLeft out:\n" + "".join(f"- {note}\n" for note in notes)
    text += end_to_end.section(options.models, options.repeats)
    if options.models == list(NAMES):
        publish("speed", text + exporting.section())
    else:
        print(text)


def _memory(contest: Contest, batch: int) -> str:
    name, in_torch = contest.subject.name, contest.subject.module is not None
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        Path(file.name).write_bytes(contest.accumulate)
        try:
            ours, theirs = memory.compare(name, Path(file.name), batch, in_torch=in_torch)
        except RuntimeError as error:
            contest.notes.append(f"memory of {name}, batch {batch}: {error}")
            return "–"
    return f"{ours:.0f}" if theirs is None else f"{ours / theirs:.2f} ({ours:.0f} / {theirs:.0f})"


if __name__ == "__main__":
    main()
