"""Time, peak memory and bundle size of whole exports, torch module to verified bundle, each in its own process.

python -m benchmarks.exporting NETWORK        (prints the three figures)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.child import answer, in_child, whole_peak
from benchmarks.table import markdown

BARS = {"resnet50": ("≤ 30 s", "≤ 3.0 GB", "≤ 1.15"), "vit_base": ("≤ 60 s", "–", "≤ 1.15")}
INTRODUCTION = """
## Export
From a torch module to a verified bundle, in a process of its own. The time includes imports, and the peak memory includes torch.
`bundle` is the size of the bundle over the size of the weights. The bars are in brackets.

"""


def section() -> str:
    """Return the section of docs/speed.md."""
    rows = []
    for name, bars in BARS.items():
        try:
            seconds, gigabytes, ratio = in_child("benchmarks.exporting", name)
            cells = (f"{seconds:.0f} s", f"{gigabytes:.1f} GB", f"{ratio:.2f}")
        except RuntimeError as error:  # the other rows are still worth a page
            cells = (f"failed: {error}", "–", "–")
        rows.append((name, *(f"{cell} ({bar})" for cell, bar in zip(cells, bars, strict=True))))
        print(rows[-1], flush=True)
    return INTRODUCTION + markdown(("network", "time", "peak memory", "bundle"), rows)


def _export(name: str) -> tuple[float, float, float]:
    began = time.perf_counter()
    from benchmarks.networks import MAKERS, SIZE
    from gagrad_export import export

    module = MAKERS[name]()
    weights = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.gagrad"
        export(module, path, size=SIZE, mean=[0.5], std=[0.25])
        seconds = time.perf_counter() - began
        gigabytes = whole_peak() / 1e9
        return seconds, gigabytes, path.stat().st_size / weights


if __name__ == "__main__":
    answer(_export(sys.argv[1]))
