"""What the jobs found, and docs/gpu.md made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.table import machine as machine_line
from benchmarks.table import markdown
from gagrad_runtime.session.canary import CORRELATION

if TYPE_CHECKING:
    from benchmarks.gpu.machine import Machine
    from benchmarks.gpu.process import Outcome

GOALS = "Goals: at least 5 times the authors' program, twice torch.compile, half the floor's rate in float16."
HOW = """# On a GPU

## How to run it
On a machine with a network, `make gpu-check` (CONTRIBUTING.md says what to install beside). On one without, and with little time, one
command of less than ten minutes, set-up included:
```sh
# on a machine that reaches the package index
python -m benchmarks.gpu.bring              # onnxruntime-gpu and what else is missing there, in pieces: .gpu-pieces/
# on the machine with the GPU, with the source and .gpu-pieces/ copied to it
bash benchmarks/gpu/run.sh                  # installs into a folder of its own, checks, runs, writes gpu-out/gpu.md
```
The other machine is expected to have Python 3.12 (`--python`), a CUDA build of torch with torchvision and timm, CUDA 13 and cuDNN 9 as pip
packages, onnx, onnx-ir and onnxscript; run.sh names what is missing before it starts. `--also NAME==VERSION` brings more. The pieces may be
copied one at a time. `BUDGET=570` is the time of the whole command in seconds: jobs that would begin later are listed as skipped. Each job is
a process with a time limit of its own, and gpu.md, gpu.json and gpu.log are written as it goes, so a run that is cut off leaves what it has.

`bash benchmarks/gpu/run.sh --rehearse` runs the same without a GPU, on stand-ins of which some fail on purpose.
"""
NOTHING = """
**Nothing has run on a GPU yet.** The run was rehearsed on stand-ins on a CPU: every job, a device that is not there, one that computes wrong
rows, one that hangs and one that crashes, an export that is refused, an option that the provider does not know; installation and start with
the wheel of onnxruntime-gpu 1.31.1 itself, whose CPU provider stood in for CUDA's.
"""
INTRODUCTION = """
## What was found
{samples} samples at {height} × {width}, medians of up to {rounds} runs of at most 5 s. {card}; {machine}
The run took {seconds:.0f} s.

- **canary**: the worst figure of the canary (devices.md), as a share of the allowed value; below 1 passes.
- **map**: Spearman's rank correlation with the float32 map of ONNX Runtime on the CPU; at least {float32} in float32, {float16} in float16.
- **explain**: the paper's map, RCAP and stability included; **operator**: the operator's map with covering test and RCAP.
- **authors**, **batched**, **compiled**: the time of another program over ours: the paper's program in PyTorch eager on this GPU, the gradients
  of all samples in one eager batch, and the same batch through torch.compile, in float16 beside our float16. Only the first includes the guide.
- **floor**: the time of twice the operations of the forward pass for each sample, at the rate of a large matrix product measured here in the same
  precision, over the time that the samples took.

{goals}

"""
STAND_IN = "**A rehearsal without a GPU: the engines are stand-ins, some of which fail on purpose; no figure here means anything.**\n\n"
HEADER = (
    *("network", "device", "precision", "build", "canary", "map", "predict", "explain", "p95", "operator"),
    *("samples/s", "authors", "batched", "compiled", "floor"),
)


@dataclass
class Report:
    """The results of the jobs, what failed and what was skipped."""

    machine: Machine
    samples: int
    rounds: int
    seconds: float = 0
    devices: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    engines: dict[str, str] = field(default_factory=dict)
    card: str = ""
    exports: dict[str, dict[str, Any]] = field(default_factory=dict)
    explained: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    pytorch: dict[str, dict[str, Any]] = field(default_factory=dict)
    graphs: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def out_of_time(self, what: str) -> None:
        """Note a job that did not begin."""
        self.skipped.append(f"{what}: the time was up")

    def add_opening(self, device: str, outcome: Outcome | None) -> None:
        """Note the engine of a device, or why it does not open: a device that is not there is no failure."""
        value = self._value(f"--device {device}", outcome, self.failed)
        if value is not None and "problem" in value:
            self.skipped.append(f"--device {device}: {value['problem']}")
        elif value is not None:
            self.engines[device] = value["engine"]
            self.card = self.card or value["card"]

    def add_export(self, network: str, outcome: Outcome) -> None:
        """Note an export."""
        value = self._value(f"export of {network}", outcome, self.failed)
        if value is not None:
            self.exports[network] = value

    def add_explanation(self, network: str, device: str, outcome: Outcome | None) -> None:
        """Note the row of a network on a device."""
        value = self._value(f"{network} on {device}", outcome, self.failed)
        if value is not None:
            self.explained.setdefault(network, {})[device] = value

    def add_pytorch(self, network: str, outcome: Outcome | None) -> None:
        """Note PyTorch's times, which are no check."""
        value = self._value(f"PyTorch's times of {network}", outcome, self.skipped)
        if value is not None:
            self.pytorch[network] = value

    def add_graph(self, network: str, outcome: Outcome | None) -> None:
        """Note the times of ``accumulate`` alone; a copy between host and device is a failure."""
        value = self._value(f"accumulate of {network} alone", outcome, self.skipped)
        if value is not None:
            self.graphs[network] = value
            self.failed += [
                f"accumulate of {network} in {precision} copies {count} tensors between host and device in a run"
                for precision, count in value["copies"].items()
                if count
            ]

    def add_sanitised(self, outcome: Outcome | None) -> None:
        """Note what the sanitizer says."""
        value = self._value(self.machine.sanitizer, outcome, self.skipped)
        if value is not None and "clean" in value:
            self.passed.append(value["clean"])

    def figures(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        names = (
            "seconds",
            "samples",
            "rounds",
            "card",
            "engines",
            "exports",
            "explained",
            "pytorch",
            "graphs",
        )
        lists = ("passed", "failed", "skipped")
        return {"machine": self.machine.name, **{name: getattr(self, name) for name in (*names, *lists)}}

    def _value(self, what: str, outcome: Outcome | None, problems: list[str]) -> dict[str, Any] | None:
        """Return the answer of a job, and note what it failed or skipped, or its own end."""
        if outcome is None:
            return None
        if outcome.value is None:
            problems.append(f"{what}: {outcome.problem}")
            return None
        self.failed += outcome.value.get("failed", ())
        self.skipped += outcome.value.get("skipped", ())
        return outcome.value


def page(report: Report) -> str:
    """Return the text of docs/gpu.md."""
    height, width = report.machine.size
    text = INTRODUCTION.format(
        samples=report.samples,
        rounds=report.rounds,
        height=height,
        width=width,
        card=report.card or "No GPU",
        machine=machine_line("onnxruntime", "torch"),
        seconds=report.seconds,
        goals=GOALS,
        **CORRELATION,
    )
    text = HOW + (text if report.machine.name == "real" else text.replace("found\n", f"found\n{STAND_IN}", 1))
    rows = [
        _row(report, network, device, value)
        for network, values in report.explained.items()
        for device, value in values.items()
        if "explain" in value
    ]
    text += markdown(HEADER, rows) if rows else "No device opened, or none explained: nothing was measured.\n"
    text += "".join(f"- `{device}`: {engine}\n" for device, engine in report.engines.items())
    text += _graphs(report)
    for title, lines in (("Passed", report.passed), ("Failed", report.failed), ("Skipped", report.skipped)):
        text += f"\n## {title}\n" + ("".join(f"- {line}\n" for line in lines) or "Nothing.\n")
    return text


def _row(report: Report, network: str, device: str, value: dict[str, Any]) -> tuple[str, ...]:
    times = report.pytorch.get(network, {}).get("times", {})
    half = value["precision"] == "float16"
    peers = ("authors", "batched", "compiled16" if half else "compiled")
    floor = times.get("floor16" if half else "floor32")
    return (
        *(network, device, value["precision"], f"{value['build']:.1f} s", f"{value['canary']:.2f}"),
        *(f"{value['same']:.5f}", f"{1000 * value['predict']:.2f} ms", f"{1000 * value['explain']:.1f} ms"),
        *(f"{1000 * value['p95']:.1f} ms", f"{1000 * value['operator']:.1f} ms"),
        f"{report.samples / value['sampling']:.0f}",
        *(f"{times[peer] / value['explain']:.1f}" if peer in times else "–" for peer in peers),
        "–" if floor is None else f"{floor / value['sampling']:.0%}",
    )


def _graphs(report: Report) -> str:
    """Return the table of ``accumulate`` alone."""
    batches = list(map(str, report.machine.batches))
    rows = []
    for network, value in report.graphs.items():
        for precision, options in value["milliseconds"].items():
            copies = value["copies"].get(precision, "–")
            for name, times in options.items():
                cells = (f"{times[batch]:.2f}" if batch in times else "–" for batch in batches)
                rows.append((network, precision, name, *cells, copies if name == "as shipped" else ""))
    if not rows:
        return ""
    header = ("network", "precision", "options", *(f"B = {batch}" for batch in batches), "copies")
    text = "\n## `accumulate` alone\nMilliseconds of a run of B samples, all tensors on the device, by options of ONNX Runtime's provider; "
    return (
        text
        + "`copies` are tensors copied between host and device in a run, and must be none.\n\n"
        + markdown(header, rows)
    )
