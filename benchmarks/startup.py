"""The time of a cold start: imports, help, and one explanation as a whole process; size and memory of larger models.

python -m benchmarks.startup                  (a quarter of an hour, most of it exports; writes docs/startup.md)
python -m benchmarks.startup --against TREE   (also with another checkout of gagrad-edge, in turns)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import machine, markdown, publish
from gagrad_edge.cli import run

REPEATS = 9
ROOT = Path(__file__).parent.parent
DEMO = ROOT / "gagrad_edge" / "demo"
SAMPLE = DEMO / "samples" / "3-stain-anodised.jpg"
NETWORKS = ("efficientnet_lite0", "resnet50")
DEVICES = ("cpu", "openvino")
COMMAND = [sys.executable, "-c", "from gagrad_edge.cli import main; main()"]
INTRODUCTION = """# Start-up

Wall time of whole processes, {repeats} runs each, interleaved. Files are in the page cache; torch and onnx
are installed but not loaded. `explain` runs the demo model at 224² as it does by default (3 samples, class
activation, the covering test) and writes picture, map and record. The chunk size is known from an earlier run.

Reproduce: `python -m benchmarks.startup`. {machine}

"""
LARGER = """
## Larger models
`explain` of one image at 224² with 5 samples, a whole process: median wall time, processor time and peak of the resident memory of {repeats} runs. The first start on a device,
one run, also opens the graphs in a child process, measures the chunk size and keeps the optimised graphs, or proves the engine ([devices.md](devices.md)). The bundle has
class activation maps, perturbations and the forms for TensorRT and OpenVINO; its size is also given as a multiple of the weights. See [bundle.md](bundle.md).

"""
EXPORT = """
import sys
from benchmarks.networks import MAKERS
from gagrad_export import BundleOptions, export
module = MAKERS[sys.argv[1]]()
print(sum(value.numel() * value.element_size() for value in module.state_dict().values()))
options = BundleOptions(targets=["tensorrt", "openvino"], perturbations=True)
export(module, sys.argv[2], size=(224, 224), mean=[0.5], std=[0.25], bundle=options)
"""


class Took(NamedTuple):
    """What a process took."""

    wall: float
    processor: float
    peak: float
    """Megabytes."""


def main() -> None:
    """Measure and publish."""
    against = Path(sys.argv[2]).resolve() if sys.argv[1:2] == ["--against"] else None
    with tempfile.TemporaryDirectory() as folder:
        small = _small(Path(folder))
        large = _large(Path(folder), against)
    text = INTRODUCTION.format(repeats=REPEATS, machine=machine("onnxruntime", "numpy"))
    publish("startup", text + small + LARGER.format(repeats=REPEATS) + large)


def _small(folder: Path) -> str:
    """Return the table of the demo."""
    bundle = str(folder / "defects.gagrad")
    options = ["--mean", "0.5", "--std", "0.25", "--classes", str(DEMO / "labels.txt")]
    run(["export", str(DEMO / "defects.onnx"), "-o", bundle, "--size", "224", "224", *options])
    cases = {
        "`python -c pass`": [sys.executable, "-c", "pass"],
        "`import gagrad_runtime`": [sys.executable, "-c", "import gagrad_runtime"],
        "`gagrad-edge --help`": [*COMMAND, "--help"],
        "`gagrad-edge explain` of one image": [*COMMAND, "explain", bundle, str(SAMPLE), "-o", str(folder)],
    }
    took = _in_turns({name: (case, ROOT) for name, case in cases.items()}, folder)
    rows = [
        (name, *(f"{value:.2f} s" for value in (statistics.median(times), min(times), max(times))))
        for name, times in ((name, [one.wall for one in all_of[1:]]) for name, all_of in took.items())
    ]
    return markdown(("process", "median", "fastest", "slowest"), rows)


def _large(folder: Path, against: Path | None) -> str:
    """Return the table of NETWORKS, with this checkout and the one at ``against``."""
    cases: dict[str, tuple[list[str], Path]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    trees = {"": ROOT} if against is None else {" (before)": against, "": ROOT}
    for network in NETWORKS:
        for label, tree in trees.items():
            bundle = folder / f"{network}{len(cases)}.gagrad"
            command = [sys.executable, "-c", EXPORT, network, str(bundle)]
            said = subprocess.run(
                command, check=True, capture_output=True, env=_environment(folder, tree), cwd=tree
            )
            for device in DEVICES:
                name = f"{network}, {device}{label}"
                sizes[name] = bundle.stat().st_size, int(said.stdout)
                explained = ["explain", str(bundle), str(SAMPLE), "-o", str(folder), "--samples", "5"]
                cases[name] = [*COMMAND, *explained, "--device", device], tree
    rows = []
    for name, (first, *others) in _in_turns(cases, folder).items():
        size, weights = sizes[name]
        wall, processor, peak = (statistics.median(values) for values in zip(*others, strict=True))
        ratio = f"{size / 1e6:.0f} MB ({size / weights:.2f})"
        took = f"{first.wall:.1f} s", f"{wall:.2f} s", f"{processor:.2f} s", f"{peak:.0f} MB"
        rows.append((name, ratio, *took))
    return markdown(
        ("network, device", "bundle", "first start", "`explain`", "processor", "peak memory"), rows
    )


def _in_turns(cases: dict[str, tuple[list[str], Path]], folder: Path) -> dict[str, list[Took]]:
    """Return what each of ``cases`` took, a command and the checkout that it runs: a first round and REPEATS more."""
    took: dict[str, list[Took]] = {name: [] for name in cases}
    for _ in range(REPEATS + 1):
        for name, (command, tree) in cases.items():
            took[name].append(_process(command, folder, tree))
    return took


def _process(command: list[str], folder: Path, tree: Path) -> Took:
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(folder, tree),
        cwd=folder,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise RuntimeError(f"exit status {status}: {' '.join(command)}")
    return Took(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def _environment(folder: Path, tree: Path) -> dict[str, str]:
    path = os.pathsep.join(str(part) for part in (tree, tree / "export", tree / "runtime"))
    # As pip leaves a package: compiled. The round that is not counted does it.
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiled = str(folder / "compiled")
    return {
        **ours, "XDG_CACHE_HOME": str(folder / tree.name), "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": compiled
    }  # fmt: skip


if __name__ == "__main__":
    main()
