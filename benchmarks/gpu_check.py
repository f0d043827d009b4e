"""Checks on a GPU in one command: build, check, compare, time. A check that cannot run is listed with the reason.

python -m benchmarks.gpu_check [--devices cuda,tensorrt,…] [--networks resnet50,…] [--samples 20] [--rounds 20]

Needs any of onnxruntime-gpu, TensorRT with cuda-bindings, TensorRT-RTX with cuda-bindings; with a CUDA build of
torch also PyTorch's times. Writes docs/gpu.md. Exit code 1 when a device that opened failed a check.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from benchmarks import peers
from benchmarks.networks import MAKERS, SIZE
from benchmarks.table import machine, markdown, publish
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import GagradError
from gagrad_edge.statistics import rank_correlation
from gagrad_export import BundleOptions, export
from gagrad_runtime.backend import open_backend
from gagrad_runtime.machine.nvidia import nvidia_device
from gagrad_runtime.session.canary import CORRELATION, examine
from gagrad_runtime.session.explainer import Explainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from gagrad_runtime.explanation.explanation import Explanation

NETWORKS = ("resnet50", "efficientnet_lite0", "vit_base")
DEVICES = (
    *("cuda", "tensorrt", "tensorrt:fp16", "tensorrt-rtx", "tensorrt-rtx:fp16"),
    *("tensorrt-ort", "tensorrt-rtx-ort"),
)
GOALS = "Goals: at least 5 times the authors' program, twice torch.compile, half the floor's rate in float16."
INTRODUCTION = """# On a GPU

{samples} samples at 224², RCAP and stability included, medians of {rounds} explanations. {machine}
Reproduce: `make gpu-check`.

- **canary**: the worst figure of the canary (devices.md), as a share of the allowed value; below 1 passes.
- **map**: Spearman's rank correlation with the float32 map of ONNX Runtime on the CPU; at least {float32} in float32, {float16} in float16.
- **authors**, **batched**, **compiled**: the time of another program over ours: the paper's program in PyTorch eager on this GPU, the gradients
  of all samples in one eager batch, and the same batch through torch.compile. Only the first includes the guide.
- **floor**: the time of twice the operations of the forward pass for each sample, at the rate of a large matrix product measured here in the same
  precision, over the time that the samples took.

{goals}

"""


@dataclass
class Report:
    """The results of the checks, and the checks that were skipped."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def skip(self, what: str, why: object) -> None:
        """Record a check that could not run, with the reason."""
        line = f"{what}: {str(why).splitlines()[0] if str(why) else type(why).__name__}"
        print("skipped", line, flush=True)
        self.skipped.append(line)


def main() -> int:
    """Run the checks, print the results and write docs/gpu.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check")
    parser.add_argument("--devices", default=",".join(DEVICES))
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-publish", action="store_true", help="print only")
    given = parser.parse_args()
    report = Report()
    devices = [name for name in given.devices.split(",") if _opens(name, report)]
    with tempfile.TemporaryDirectory() as folder:
        for name in given.networks.split(",") if devices else ():
            _network(name, devices, Path(folder), given.samples, given.rounds, report)
    header = (
        *("network", "device", "precision", "build", "canary", "map", "predict", "explain", "p95"),
        *("samples/s", "authors", "batched", "compiled", "floor"),
    )
    text = INTRODUCTION.format(
        samples=given.samples,
        rounds=given.rounds,
        machine=f"{nvidia_device() or 'No GPU'}; {machine('onnxruntime')}",
        goals=GOALS,
        **CORRELATION,
    )
    text += markdown(header, report.rows) if report.rows else "No device opened, so nothing was measured.\n"
    for title, lines in (("Failed", report.failed), ("Skipped", report.skipped)):
        text += f"\n## {title}\n" + ("".join(f"- {line}\n" for line in lines) or "Nothing.\n")
    print(text)
    if report.rows and not given.no_publish:
        publish("gpu", text)
    return 1 if report.failed else 0


def _opens(name: str, report: Report) -> bool:
    """Tell whether a session opens on ``device``."""
    try:
        open_backend(name)
    except GagradError as error:
        report.skip(f"--device {name}", error.what)
        return False
    return True


def _network(name: str, devices: list[str], folder: Path, samples: int, rounds: int, report: Report) -> None:
    module = MAKERS[name]()
    path = folder / f"{name}.gagrad"
    precisions = ["float16"] if any(device.endswith(":fp16") for device in devices) else []
    try:
        options = BundleOptions(targets=["tensorrt"], precisions=precisions)
        export(module, path, size=SIZE, mean=[0.5], std=[0.25], bundle=options)
    except GagradError as error:
        report.failed.append(f"{name}: export: {error.what}")
        return
    bundle = read_bundle(path)
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    with Explainer(bundle, open_backend("cpu")) as known:
        expected = known.explain(frame, preset="paper", samples=samples)
    times = _pytorch(module, samples, rounds, report, name)
    for device in devices:
        try:
            row = _device(name, device, path, frame, expected, times, samples, rounds, report)
        except GagradError as error:
            report.failed.append(f"{name} on {device}: {error.what}")
            continue
        print(row, flush=True)
        report.rows.append(row)
    if devices:
        _sanitise(path, devices[0], report)
    path.unlink()


def _device(
    name: str,
    device: str,
    path: Path,
    frame: np.ndarray,
    expected: Explanation,
    times: dict[str, float],
    samples: int,
    rounds: int,
    report: Report,
) -> tuple[str, ...]:
    bundle = read_bundle(path)
    backend = open_backend(device)
    began = time.perf_counter()
    with Explainer(bundle, backend) as explainer:
        build = time.perf_counter() - began
        findings = examine(bundle, explainer)
        report.failed += [f"{name} on {device}: {finding}" for finding in findings if not finding.passed]
        # The CPU's target, so that both maps explain the same class even if two scores are close.
        target = expected.target.index
        explanation = explainer.explain(frame, target, preset="paper", samples=samples)
        same = rank_correlation(explanation.saliency.ravel(), expected.saliency.ravel()) or 0.0
        if same < CORRELATION[backend.precision]:
            report.failed.append(f"{name} on {device}: the map's rank correlation is {same:.5f}")
        report.failed += [f"{name} on {device}: {note}" for note in backend.notes]
        image = np.zeros((1, *bundle.manifest.input.shape), np.float32)
        predict = _median([_timed(lambda: explainer.scores(image)) for _ in range(rounds)][1:])
        runs, sampling = [], []
        for _ in range(rounds):
            seconds = explainer.explain(frame, target, preset="paper", samples=samples).seconds
            runs.append(sum(seconds.values()))
            sampling.append(seconds["explain"])
    half = backend.precision == "float16"
    explain = _median(runs)
    floor = times.get("floor16" if half else "floor32")
    return (
        *(name, device, backend.precision, f"{build:.1f} s"),
        f"{max(one.found / one.allowed for one in findings):.2f}",
        *(f"{same:.5f}", f"{1000 * predict:.2f} ms", f"{1000 * explain:.1f} ms"),
        f"{1000 * float(np.percentile(runs, 95)):.1f} ms",
        f"{samples / _median(sampling):.0f}",
        *(
            f"{times[kind] / explain:.1f}" if kind in times else "–"
            for kind in ("authors", "batched", "compiled")
        ),
        "–" if floor is None else f"{floor / _median(sampling):.0%}",
    )


def _pytorch(module: nn.Module, samples: int, rounds: int, report: Report, name: str) -> dict[str, float]:
    """Return PyTorch's seconds on the GPU by kind of run, and the floors; empty without a CUDA build of torch."""
    import torch

    if not torch.cuda.is_available():
        report.skip(f"PyTorch's times of {name}", "this torch sees no GPU")
        return {}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module = module.cuda()
    image = np.random.default_rng(0).standard_normal((1, 3, *SIZE), np.float32)
    copies = np.repeat(image, samples, axis=0)

    def timed(run: Callable[[], object]) -> float:
        def whole() -> None:
            run()
            torch.cuda.synchronize()

        whole()
        whole()
        return _median([_timed(whole) for _ in range(rounds)])

    authors = peers.authors_program(module, samples)
    times = {"authors": timed(lambda: authors(image))}
    eager = peers.eager_batch(module, 0)
    times["batched"] = timed(lambda: eager(copies))
    try:
        compiled = peers.eager_batch(cast("nn.Module", torch.compile(module)), 0)
        times["compiled"] = timed(lambda: compiled(copies))
    except Exception as error:  # noqa: BLE001 - torch.compile needs a compiler, and more
        report.skip(f"torch.compile of {name}", error)
    operations = 2 * samples * _forward_operations(module, image)
    for kind, precision in (("floor32", torch.float32), ("floor16", torch.float16)):
        a = torch.randn(8192, 8192, device="cuda", dtype=precision)
        rate = 2 * 8192**3 / timed(partial(torch.matmul, a, a))
        times[kind] = operations / rate
    module.cpu()
    return times


def _forward_operations(module: nn.Module, image: np.ndarray) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.from_numpy(image).cuda())
    return int(counter.get_total_flops())


def _sanitise(path: Path, device: str, report: Report) -> None:
    """Explain one frame under compute-sanitizer, which finds reads and writes out of bounds."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        report.skip("compute-sanitizer", "it is not on the path")
        return
    command = [tool, "--error-exitcode", "9", sys.executable, "-c", _VERIFY, str(path), device]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        report.failed.append(f"compute-sanitizer on {device}: {(run.stdout + run.stderr)[-500:]}")


_VERIFY = """
import sys
from gagrad_edge.cli import run
sys.exit(run(["verify", sys.argv[1], "--device", sys.argv[2]]))
"""


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _median(values: list[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    sys.exit(main())
