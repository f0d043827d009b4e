"""One frame explained with 20 samples: our whole ``explain`` against the paper's program in PyTorch eager."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import gagrad_runtime
from benchmarks import peers
from benchmarks.networks import MAKERS, SIZE
from benchmarks.products import Profiled
from benchmarks.table import markdown
from benchmarks.timing import seconds, spread
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_export import export

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = 20
BARS = {"efficientnet_lite0": "≥ 3.8", "mobilenet_v3_large": "≥ 3.8", "resnet50": "≥ 1.75"}
INTRODUCTION = """
## One frame, end to end
{samples} samples, the session open, from an array of pixels to the map. Medians over {repeats} interleaved rounds; ratios are taken within a
round, with the smallest and the largest in brackets.

- `chunk`: the chunk size that the runtime chose on this machine.
- `ours`: all of `explain`: target, noise, map, stability, RCAP. `map`: the part of `ours` without stability and RCAP.
- `authors`: the paper's program from the same array to the map: target, noise, one gradient at a time, guide, map.
- `faster`: authors over ours. `same work`: authors over map. `bar`: the bar for `same work`.
- `products`: the time that only the convolutions and matrix products of these {samples} samples take in ONNX Runtime's profile, without masks,
  sums and noise. In brackets their rate and the rate of the fastest convolution among them, in 10⁹ multiply-adds per second. The latter is
  about what this processor can do.
- `at most`: authors over products. `same work` would be this if masks, sums and noise cost nothing.

"""


def section(names: Sequence[str], repeats: int) -> str:
    """Return the section of docs/speed.md, for those networks of ``names`` that torch has."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # an empty cache: the chunk size is measured in this run
        for name in names:
            if name in MAKERS:
                rows.append(_row(name, Path(folder), repeats))
                print(rows[-1], flush=True)
    header = (
        "network",
        "chunk",
        "ours",
        "map",
        "authors",
        "faster",
        "same work",
        "bar",
        "products",
        "at most",
    )
    return INTRODUCTION.format(samples=SAMPLES, repeats=repeats) + markdown(header, rows)


def _row(name: str, folder: Path, repeats: int) -> tuple[object, ...]:
    module = MAKERS[name]()
    path = folder / f"{name}.gagrad"
    export(module, path, size=SIZE, mean=[0.5], std=[0.25])
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    image = ((frame.transpose(2, 0, 1)[None] / np.float32(255) - 0.5) / 0.25).astype(np.float32)
    authors = peers.authors_program(module, SAMPLES)
    ours, maps, theirs = [], [], []
    graph = read_bundle(path).graph("accumulate")
    with gagrad_runtime.load(path, device="cpu") as explainer:
        chunk = explainer.explain(frame, preset="paper", samples=SAMPLES).provenance.chunk
        authors(image)
        profiled = Profiled(graph, chunk)
        for _ in range(repeats):
            stages = explainer.explain(frame, preset="paper", samples=SAMPLES).seconds
            ours.append(sum(stages.values()))
            maps.append(ours[-1] - stages["stability"] - stages["rcap"])
            theirs.append(seconds(lambda: authors(image)))
            profiled.run()
    path.unlink()
    floor = profiled.close()
    least = floor.seconds * SAMPLES
    share = f"{least:.2f} s ({floor.rate:.0f} of {floor.best:.0f})"
    at_most = f"{statistics.median(theirs) / least:.2f}"
    faster, same = (
        spread([slow / fast for slow, fast in zip(theirs, taken, strict=True)]) for taken in (ours, maps)
    )
    times = (f"{statistics.median(taken):.2f} s" for taken in (ours, maps, theirs))
    return (name, chunk, *times, faster, same, BARS.get(name, "–"), share, at_most)
