"""The coverage tables: one architecture per family is exported, compared with autograd and built by TensorRT.

    python -m benchmarks.zoo [--more | --models NAME …] [--fresh] [--no-tensorrt]

Each network runs in a process of its own, with a time limit; results are kept in ``.zoo/``, and a run that was
interrupted goes on where it stopped. Writes docs/coverage.md (about forty minutes on two cores), or with ``--more``
docs/coverage-more.md about a second list of networks that was not used during development (two hours).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.table import machine, markdown, publish

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".zoo"
LIMIT_S = 900
SMOOTH, KINKED = 1e-4, 2e-3
INTRODUCTION = """# {title}

{count} architectures of timm, {which}, with random weights of seed 0 (weights that are initialised to zero are redrawn), exported by torch.onnx
(opset 20) and by gagrad-edge at their own input size.

- `gradient` is the relative error of the exported graph in ONNX Runtime against PyTorch's autograd in float64, ‖g − g₆₄‖₂ / ‖g₆₄‖₂: the median
  over three draws of noisy samples, for batches of 1 and 5.
- `PyTorch` is the error of autograd in float32 on the batches of 5.
- `pass` is yes for ≤ 1e-4, and "yes, k" for ≤ 2e-3 if the network has kinks and an activation within rounding of a kink took the other side.
- `size` is the size of the `accumulate` graph over the size of the model.
- `TensorRT` says which graphs TensorRT-RTX built.
- `state` is the commit at which the row was measured: an interrupted run keeps the rows that are done.

**{passed} of {count} pass{also}.**{note}

Reproduce: `{command}`. {machine}

"""


@dataclass(frozen=True)
class Page:
    """A list of networks and the page about them."""

    file: str
    name: str
    title: str
    which: str
    command: str
    note: str = ""


FIRST = Page("zoo.json", "coverage", "Coverage", "one per family", "make zoo")
MORE = Page(
    "zoo_more.json",
    "coverage-more",
    "Coverage, a second list",
    "of other families and variants than [coverage.md](coverage.md), which nobody looked at during development",
    "python -m benchmarks.zoo --more --no-tensorrt",
    " Left out are gemma4_vit_167m, nasnetalarge, pnasnet5large, qwen3_vit_88m and sam2_hiera_tiny: autograd in "
    "float64 on these batches takes more than 24 GB of memory or more than a quarter of an hour.",
)


def main() -> None:
    """Measure the networks without a kept result, then write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--more", action="store_true", help="the second list")
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--fresh", action="store_true", help="forget the kept results")
    parser.add_argument("--no-tensorrt", action="store_true")
    options = parser.parse_args()
    page = MORE if options.more else FIRST
    names = options.models or json.loads((ROOT / "benchmarks" / page.file).read_text())
    KEPT.mkdir(exist_ok=True)
    results = {}
    for name in names:
        kept = KEPT / f"{name}.json"
        if options.fresh or not kept.is_file():
            _run(name, kept, tensorrt=not options.no_tensorrt)
        results[name] = json.loads(kept.read_text())
        print(f"{name}: {_row(name, results[name])[1:]}", flush=True)
    passed = sum(_passes(result) for result in results.values())
    built = sum(result.get("tensorrt") == "all" for result in results.values())
    text = INTRODUCTION.format(
        title=page.title,
        which=page.which,
        command=page.command,
        note=page.note,
        count=len(names),
        passed=passed,
        also=f"; TensorRT-RTX builds every graph of {built}" if built else "",
        machine=machine("torch", "timm", "onnxruntime", "tensorrt-rtx-cu13"),
    )
    header = ("network", "gradient, B = 1", "B = 5", "PyTorch", "pass", "size", "export", "TensorRT", "state")
    # A part of the list is only printed: the page in docs/ is about the whole list.
    if options.models:
        print(text + markdown(header, [_row(*item) for item in results.items()]))
    else:
        publish(page.name, text + markdown(header, [_row(*item) for item in results.items()]))


def _run(name: str, kept: Path, *, tensorrt: bool) -> None:
    began = time.monotonic()
    kept.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.zoo_entry", name, str(kept)]
    try:
        result = subprocess.run(
            [*command, *([] if tensorrt else ["--no-tensorrt"])],
            capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False,
        )  # fmt: skip
        trouble = "" if result.returncode == 0 else reason(result.stderr)
    except subprocess.TimeoutExpired:
        trouble = f"not done in {LIMIT_S} s"
    measured: dict[str, Any] = {"error": trouble, "seconds": time.monotonic() - began}
    if kept.is_file():
        measured = json.loads(kept.read_text()) | ({"tensorrt": trouble} if trouble else {})
    kept.write_text(json.dumps({**measured, "state": state()}))


def reason(stderr: str) -> str:
    """Return the line that names the exception, without the hint that follows."""
    lines = stderr.strip().splitlines()
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (named or lines or ["killed, out of memory perhaps"])[-1]


def state() -> str:
    """Return the short hash of the checked-out commit, with a + if files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--exclude=*", "--dirty=+"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def _passes(result: dict[str, Any]) -> bool:
    return "error" not in result and max(result["gradient"].values()) <= KINKED


def _row(name: str, result: dict[str, Any]) -> tuple[str, ...]:
    if "error" in result:
        reason = f"no: {result['error'].removeprefix('gagrad_edge.errors.')}"[:300].replace("|", "/")
        return (name, "–", "–", "–", reason, "–", "–", "–", result["state"])
    one, five = result["gradient"]["1"], result["gradient"]["5"]
    verdict = "yes" if max(one, five) <= SMOOTH else "yes, k" if max(one, five) <= KINKED else "no"
    size, seconds = f"{result['size']:.2f}×", f"{result['seconds']:.0f} s"
    return (
        name,
        f"{one:.1e}",
        f"{five:.1e}",
        f"{result['own']:.1e}",
        verdict,
        size,
        seconds,
        result["tensorrt"],
        result["state"],
    )


if __name__ == "__main__":
    main()
