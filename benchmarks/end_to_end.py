"""One frame explained: our whole ``explain``, of both presets, against the paper's program in PyTorch eager.

    python -m benchmarks.end_to_end [--models …] [--repeats 5] [--bundles FOLDER]

Prints the section of docs/speed.md, which ``benchmarks.speed`` writes. About three minutes for the networks with a bar on two
idle cores, most of it export and the paper's program; nothing else should run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gagrad_runtime
from benchmarks import peers
from benchmarks.networks import MAKERS, SIZE
from benchmarks.processor import processor
from benchmarks.products import Profiled
from benchmarks.table import machine, markdown
from benchmarks.timing import seconds, spread
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_export import export

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = 20
IN_A_ROW = 5
"""Explanations by the preset `operator` in a round: together they take about as long as one paper's map."""
PAPER = {"efficientnet_lite0": "≥ 2.8", "mobilenet_v3_large": "≥ 2.8", "resnet50": "≥ 1.75"}
"""Bars for the paper's map: the authors' time over ours for the same work."""
OPERATOR = {"efficientnet_lite0": "≥ 12", "mobilenet_v3_large": "≥ 12", "resnet50": "≥ 8"}
"""Bars for the operator's map."""
INTRODUCTION = """
## One frame, end to end
The session open, from an array of pixels to the map. Medians over {repeats} interleaved rounds; ratios are taken within a
round, with the smallest and the largest in brackets.

- `authors`: the paper's program in PyTorch eager, {samples} samples, from the same array to the map: target, noise, one gradient at a time,
  guide, map.
- `chunk`: the chunk size that the runtime chose on this machine.
- `paper`: all of `explain` with the preset `paper` and {samples} samples: target, noise, map, stability, RCAP. `its map`: the part without stability
  and RCAP. `same work`: authors over this part, with its bar.
- `operator`: all of `explain` as it is without settings, what pictures and stations show: target, few samples, class activation, map, stability, places,
  covering test; the median of {in_a_row} in a row. `its map`: the part without stability, places and covering test. `authors / operator`, `authors / its map`: with the
  bar for the operator's map. `the first`: `authors / its map` of the first in the row, which finds the caches full of PyTorch's numbers and PyTorch's threads awake.
- `products`: the time that only the convolutions and matrix products of {samples} samples take in ONNX Runtime's profile, without masks,
  sums and noise. In brackets their rate and the rate of the fastest convolution among them, in 10⁹ multiply-adds per second. The latter is
  about what this processor can do.
- `at most`: authors over products. `same work` would be this if masks, sums and noise cost nothing.

"""
_HEADER = (
    "network",
    "authors",
    "chunk",
    "paper",
    "its map",
    "same work",
    "bar",
    "operator",
    "its map",
    "authors / operator",
    "authors / its map",
    "the first",
    "bar",
    "products",
    "at most",
)
_MEASURES = ("stability", "rcap", "covering")
"""Stages of an explanation that are no part of its map."""


def section(names: Sequence[str], repeats: int, bundles: Path | None = None) -> str:
    """Return the section of docs/speed.md, for those networks of ``names`` that torch has.

    ``bundles`` is a folder of bundles NETWORK.gagrad that may be there already.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # an empty cache: the chunk size is measured in this run
        for name in names:
            if name in MAKERS:
                rows.append(_row(name, Path(folder), bundles, repeats))
                print(rows[-1], flush=True)
    text = INTRODUCTION.format(samples=SAMPLES, repeats=repeats, in_a_row=IN_A_ROW)
    return text + markdown(_HEADER, rows)


def _row(name: str, folder: Path, bundles: Path | None, repeats: int) -> tuple[object, ...]:
    module = MAKERS[name]()
    path = (bundles or folder) / f"{name}.gagrad"
    made = not path.exists()
    if made:
        export(module, path, size=SIZE, mean=[0.5], std=[0.25])
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    image = ((frame.transpose(2, 0, 1)[None] / np.float32(255) - 0.5) / 0.25).astype(np.float32)
    authors = peers.authors_program(module, SAMPLES)
    paper, operator, first, theirs = [], [], [], []
    graph = read_bundle(path).graph("accumulate")
    with gagrad_runtime.load(path, device="cpu") as explainer:

        def explained(**settings: Any) -> tuple[float, float]:
            """Return the seconds of all of an explanation, and of its map."""
            taken = explainer.explain(frame, **settings).seconds
            return sum(taken.values()), sum(taken[one] for one in taken if one not in _MEASURES)

        chunk = explainer.explain(frame, preset="paper", samples=SAMPLES).provenance.chunk
        explained()
        authors(image)
        profiled = Profiled(graph, chunk)
        for _ in range(repeats):
            paper.append(explained(preset="paper", samples=SAMPLES))
            theirs.append(seconds(lambda: authors(image)))
            row = [explained() for _ in range(IN_A_ROW)]
            first.append(row[0])
            operator.append(
                (statistics.median(one[0] for one in row), statistics.median(one[1] for one in row))
            )
            profiled.run()
    if made:
        path.unlink()
    floor = profiled.close()
    least = floor.seconds * SAMPLES

    def over(taken: list[tuple[float, float]], part: int) -> str:
        return spread([slow / fast[part] for slow, fast in zip(theirs, taken, strict=True)])

    def median(taken: list[tuple[float, float]], part: int) -> str:
        return f"{statistics.median(one[part] for one in taken):.3f} s"

    return (
        name,
        f"{statistics.median(theirs):.2f} s",
        chunk,
        median(paper, 0),
        median(paper, 1),
        over(paper, 1),
        PAPER.get(name, "–"),
        median(operator, 0),
        median(operator, 1),
        over(operator, 0),
        over(operator, 1),
        over(first, 1),
        OPERATOR.get(name, "–"),
        f"{least:.2f} s ({floor.rate:.0f} of {floor.best:.0f})",
        f"{statistics.median(theirs) / least:.2f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end")
    parser.add_argument("--models", nargs="+", default=list(OPERATOR), choices=list(MAKERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--bundles", type=Path, help="Folder of bundles NETWORK.gagrad that are there already."
    )
    given = parser.parse_args()
    print(machine("onnxruntime", "torch"), processor().text(), flush=True)
    print(section(given.models, given.repeats, given.bundles))


if __name__ == "__main__":
    main()
