"""``gagrad-edge export FILE`` on the networks of the coverage table, saved as ONNX files with random weights.

python -m benchmarks.zoo_files [NAME …]        (prints a row as each is done; all take about 50 minutes)

Unlike ``benchmarks.zoo``, this runs the command on a file, and the gradient is verified without autograd.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.table import markdown
from tests.export import networks  # noqa: F401 - lets torchvision be imported

LIMIT = 1200
"""Time limit for one export, in seconds."""


def main() -> None:
    """Print a row for each network, and all of them as a table."""
    names = sys.argv[1:] or json.loads(Path(__file__).with_name("zoo.json").read_text(encoding="utf-8"))
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            save = [sys.executable, "-m", "benchmarks.zoo_files", "--save", name, str(path)]
            subprocess.run(save, check=True, capture_output=True, timeout=LIMIT)
            rows.append((name, *_exported(path)))
        print(" | ".join(rows[-1]), flush=True)
    print(markdown(("network", "time", "verified, or why not"), rows))


def save(name: str, path: Path) -> None:
    """Write a network of timm as an ONNX file, with torch's dynamo exporter."""
    import timm

    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    shape = tuple(timm.data.resolve_model_data_config(module)["input_size"])
    torch.onnx.export(
        module,
        (torch.randn(1, *shape),),
        path,
        dynamo=True,
        verbose=False,
        input_names=["image"],
        output_names=["scores"],
    )


def _exported(path: Path) -> tuple[str, str]:
    began = time.perf_counter()
    program = Path(sys.executable).with_name("gagrad-edge")
    command = [str(program), "export", str(path), "-o", str(path.with_suffix(".gagrad"))]
    try:
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return "–", f"not done in {LIMIT} s"
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines()]
    said = [line for line in lines if line.startswith(("verified", "Error"))]
    return f"{time.perf_counter() - began:.0f} s", " ".join(" ".join(said).split())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--save"]:
        save(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
