"""The speed of ``accumulate`` against the forward pass and against the programs that users have today.

    python -m benchmarks.speed [--models …] [--batches 1 10 20] [--repeats 5] [--no-peers]

Writes docs/speed.md, or docs/speed-KIND.md where ONNX Runtime runs other kernels than on the machine of speed.md (see
``benchmarks.processor``); with ``--models`` only prints. All programs run in turns. About 25 minutes for everything on
two cores; no other program should run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks import end_to_end, exporting, memory
from benchmarks.contest import OURS, PEERS, Contest
from benchmarks.networks import NAMES, subject
from benchmarks.processor import processor
from benchmarks.table import machine, markdown, publish
from benchmarks.timing import spread

FIRST = "blocks-of-16"
"""Kind of the processor whose table is docs/speed.md."""
INTRODUCTION = """# Speed

ONNX Runtime on the CPU. `forward` is the time of the bundle's `predict` graph on B images. All other columns but `memory` are ratios to
a forward pass: the median of {repeats} rounds, smallest and largest in brackets. `in turns` and `alone` are the time of `accumulate` (the model, the
gradients of B samples and the running statistics) over the forward pass. The floor is 2.0: the gradient needs the multiplications
of the forward pass once more. All columns of a row take turns in every round.

- **In turns**: forward, accumulate, forward, accumulate; the figure of [performance.md](performance.md). ONNX Runtime's threads
  spin for a while after a run and take a core from the other session. That slows both, and the shorter run more.
- **Alone**: each graph runs after a run of its own, as in an explanation. All further columns are over this forward pass.
- **PyTorch batch**: one eager batch, the gradient only. **PyTorch authors**: the paper's program, one sample at a time, with its guide.
  **captum**: NoiseTunnel(Saliency, vargrad). All three take the gradient of the input only.
- **onnx-ad**: its reverse graph in ONNX Runtime. **OpenVINO**: our `accumulate` graph in OpenVINO, in float32.
- A dash means that the program cannot run the network.

`memory` is the peak memory of a chunk over the peak of PyTorch's eager batch with frozen weights, in brackets both in MB: the growth of
a process from the loaded graph to the peak of {memory_runs} runs. For the demo model, which torch does not have, it is our figure in MB.

Reproduce: `python -m benchmarks.speed`. {machine}
{kernels}

"""


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 10, 20])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    kernels = processor()
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
        repeats=options.repeats,
        memory_runs=memory.RUNS,
        machine=machine(*distributions),
        kernels=kernels.text(),
    )
    text += markdown(("network", "B", "forward", *columns, "memory"), rows)
    if notes:
        text += "\nLeft out:\n" + "".join(f"- {note}\n" for note in notes)
    text += end_to_end.section(options.models, options.repeats)
    if options.models == list(NAMES):
        publish("speed" if kernels.kind == FIRST else f"speed-{kernels.kind}", text + exporting.section())
    else:
        print(text)


def _memory(contest: Contest, batch: int) -> str:
    name, in_torch = contest.subject.name, contest.subject.module is not None
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        Path(file.name).write_bytes(contest.accumulate.complete())
        try:
            ours, theirs = memory.compare(name, Path(file.name), batch, in_torch=in_torch)
        except RuntimeError as error:
            contest.notes.append(f"memory of {name}, batch {batch}: {error}")
            return "–"
    return f"{ours:.0f}" if theirs is None else f"{ours / theirs:.2f} ({ours:.0f} / {theirs:.0f})"


if __name__ == "__main__":
    main()
