"""Two workers of an audit against one: ``python -m benchmarks.audit_workers local|ray BUNDLE FOLDER [ROUNDS]``.

The audit of the images in FOLDER runs with one worker and with two in turn, each with one thread. What counts is
the time from the first shard that is done to the last: Ray's start is not in it. Figures are in docs/audit.md.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_runtime.audit.cluster import run_ray
from gagrad_runtime.audit.local import run_local
from gagrad_runtime.audit.plan import Asked
from gagrad_runtime.audit.run import run_audit
from gagrad_runtime.audit.worker import Opening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_runtime.audit.worker import Work

SHARD = 10
"""Images of a shard: both workers have some until near the end."""


def rate(name: str, bundle: Path, source: str, workers: int) -> float:
    """Return images a second with so many workers."""
    times: list[float] = []

    def engine(work: Work, numbers: Sequence[int], count: int, on_done: Callable[[int], None]) -> None:
        def done(number: int) -> None:
            times.append(time.perf_counter())
            on_done(number)

        {"local": run_local, "ray": run_ray}[name](work, numbers, count, done)

    asked = Asked(bundle=str(bundle), sha256=read_bundle(bundle).sha256)
    with tempfile.TemporaryDirectory() as folder:
        run_audit(
            Path(folder) / "audit", [source], asked, Opening(device="cpu", threads=1), workers=workers,
            engine=engine, shard=SHARD,
        )  # fmt: skip
    return SHARD * (len(times) - workers) / (times[-1] - times[workers - 1])


def main() -> None:
    """Print the rates of each round, and the median of their ratios."""
    name, bundle, source = sys.argv[1:4]
    ratios = []
    for _ in range(int((*sys.argv[4:], "5")[0])):
        one, two = (rate(name, Path(bundle).absolute(), source, workers) for workers in (1, 2))
        ratios.append(two / one)
        print(f"{name}: {one:.1f} and {two:.1f} images a second, {two / one:.2f} times", flush=True)
    print(f"{name}: median {statistics.median(ratios):.2f} of {len(ratios)} rounds")


if __name__ == "__main__":
    main()
