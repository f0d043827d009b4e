"""The table of models that other people's tools wrote: ``python -m benchmarks.models [--models NAME …] [--fresh | --kept]``.

Each model is made in ``.venv-models`` by its producer, exported and explained in the project's environment without
an option beyond the size, and its gradient is compared with autograd through the producer's module. Each step
is a process with limits of time and memory; results are kept in ``.models/``, so a run that was interrupted goes
on where it stopped. Writes docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.models.entry import Entry, entries
from benchmarks.models.page import KINKED, page, row
from benchmarks.table import publish
from benchmarks.zoo import reason, state

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / ".models"
MAKERS = ROOT / ".venv-models" / "bin" / "python"
LIMIT_S = 600
LIMIT_BYTES = 12 * 2**30


def main() -> None:
    """Measure the models without a kept result, then write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", help="these only; the table is printed and not written")
    parser.add_argument("--fresh", action="store_true", help="measure again; the models' files are kept")
    parser.add_argument(
        "--kept", action="store_true", help="measure nothing; write the page from what is kept"
    )
    parser.add_argument("--limit", type=int, default=LIMIT_S, help="seconds that each step may take")
    options = parser.parse_args()
    chosen = {name: entries()[name] for name in options.models or entries()}
    results = {}
    for name, entry in chosen.items():
        folder = KEPT / name
        kept = folder / "row.json"
        if options.kept and not kept.is_file():
            continue
        if options.fresh or not kept.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            measured = _measured(entry, folder, options.limit)
            kept.write_text(json.dumps({**measured, "whole": time.monotonic() - began, "state": state()}))
        results[name] = json.loads(kept.read_text())
        print(" | ".join(map(str, row(entry, results[name]))), flush=True)
    text = page(chosen, results, _versions())
    if options.models:
        print(text)
    else:
        publish("models", text)


def _measured(entry: Entry, folder: Path, limit: int) -> dict[str, Any]:
    """Return what becomes of one model."""
    model = folder / "model.onnx"
    if not model.is_file():
        failed = _run([str(MAKERS), "-m", "benchmarks.models.build", entry.name, str(model)], limit)
        if failed:
            model.unlink(missing_ok=True)
            return {"failed": f"not made: {failed}"}
    for old in (
        "result.json",
        "question.npz",
        "autograd.json",
        "autograd.npy",
        "double.json",
        "segments.json",
    ):
        (folder / old).unlink(missing_ok=True)
    shape = map(str, (*entry.size, entry.channels))
    failed = _run([sys.executable, "-m", "benchmarks.models.measure", str(folder), *shape], limit)
    result = _read(folder / "result.json")
    if failed:
        result["failed"] = failed
    if entry.module is not None and (folder / "question.npz").is_file():
        failed = _run([str(MAKERS), "-m", "benchmarks.models.autograd", entry.name, str(folder)], limit)
        result["autograd"] = {"missing": failed} if failed else _read(folder / "autograd.json")
    if result.get("autograd", {}).get("error", 0) > KINKED:
        failed = _run([sys.executable, "-m", "benchmarks.models.measure", "--double", str(folder)], limit)
        result["double"] = {"missing": failed} if failed else _read(folder / "double.json")
    if (folder / "question.npz").is_file() and "error" not in result.get("autograd", {}):
        failed = _run([sys.executable, "-m", "benchmarks.models.measure", "--segments", str(folder)], limit)
        result |= {"failed": failed} if failed else {"segments": _read(folder / "segments.json")}
    return result


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _run(command: list[str], limit: int) -> str:
    """Run ``command`` from the repository's root; return why it failed, empty when it did not."""
    quiet = {"PYTHONPATH": str(ROOT), "YOLO_OFFLINE": "true", "HF_HUB_OFFLINE": "1"}
    if command[0] == sys.executable:
        quiet["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "export"), str(ROOT / "runtime")])
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit, cwd=ROOT, check=False,
            env={**os.environ, **quiet}, preexec_fn=_bounded,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done in {limit} s"
    return "" if result.returncode == 0 else reason(result.stderr)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))


def _versions() -> str:
    """Return the producers' packages with their versions, as installed in ``.venv-models``."""
    names = (
        "torch",
        "torchvision",
        "ultralytics",
        "pixeltable-yolox",
        "segmentation-models-pytorch",
        "anomalib",
        "transformers",
        "python-doctr",
        "rapidocr-onnxruntime",
        "tensorflow-cpu",
        "tf-keras",
        "tf2onnx",
        "timm",
        "onnx",
    )
    program = (
        f"from importlib.metadata import version\nprint(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
    )
    found = subprocess.run([str(MAKERS), "-c", program], capture_output=True, text=True, check=False)
    return found.stdout.strip() or found.stderr.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
