"""The time of a cold start: imports, help, and one explanation as a whole process.

python -m benchmarks.startup        (under a minute; writes docs/startup.md)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import machine, markdown, publish
from gagrad_edge.cli import run

REPEATS = 9
DEMO = Path(__file__).parent.parent / "gagrad_edge" / "demo"
INTRODUCTION = """# Start-up

Wall time of whole processes, {repeats} runs each, interleaved. Files are in the page cache; torch and onnx
are installed but not loaded. `explain` runs the demo model at 224² with 20 samples and writes RCAP, picture, map and record. The chunk size
is known from an earlier run.

Reproduce: `python -m benchmarks.startup`. {machine}

"""


def main() -> None:
    """Measure and publish."""
    command = [sys.executable, "-c", "from gagrad_edge.cli import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        bundle = f"{folder}/defects.gagrad"
        options = ["--mean", "0.5", "--std", "0.25", "--classes", str(DEMO / "labels.txt")]
        run(["export", str(DEMO / "defects.onnx"), "-o", bundle, "--size", "224", "224", *options])
        sample = str(DEMO / "samples" / "3-stain-anodised.jpg")
        cases = {
            "`python -c pass`": [sys.executable, "-c", "pass"],
            "`import gagrad_runtime`": [sys.executable, "-c", "import gagrad_runtime"],
            "`gagrad-edge --help`": [*command, "--help"],
            "`gagrad-edge explain` of one image": [*command, "explain", bundle, sample, "-o", folder],
        }
        # The first run on a device also measures the chunk size; it is not part of the figures.
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        for case in cases.values():
            subprocess.run(case, check=True, capture_output=True, env=environment)
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(REPEATS):
            for name, case in cases.items():
                began = time.perf_counter()
                subprocess.run(case, check=True, capture_output=True, env=environment)
                seconds[name].append(time.perf_counter() - began)
    rows = [
        (name, *(f"{value:.2f} s" for value in (statistics.median(times), min(times), max(times))))
        for name, times in seconds.items()
    ]
    text = INTRODUCTION.format(repeats=REPEATS, machine=machine("onnxruntime", "numpy"))
    publish("startup", text + markdown(("process", "median", "fastest", "slowest"), rows))


if __name__ == "__main__":
    main()
