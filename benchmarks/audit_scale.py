"""Times and memory of an audit itself, without a model: ``python -m benchmarks.audit_scale plan|run|report N``.

``plan`` lists N paths; ``run`` makes the table of N images whose answers cost nothing, and prints the peak
memory of driver and worker; ``report`` writes the page of N rows. Figures are in docs/audit.md.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.audit.packages import arrow, parquet
from gagrad_runtime.audit.page import write_report
from gagrad_runtime.audit.plan import SHARDS, Asked, Plan, write_paths, write_plan
from gagrad_runtime.audit.rows import table_of
from gagrad_runtime.audit.run import run_audit
from gagrad_runtime.audit.sources import Item, items_of
from gagrad_runtime.audit.worker import Opening, encoded
from tests.runtime.audit.history import BEGIN, parts
from tests.runtime.audit.synthetic import Synthetic, open_synthetic, write_list

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Measure one thing in a folder of its own."""
    what, number = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began, spent = time.perf_counter(), time.process_time()
        {"plan": plan, "run": run, "report": report}[what](folder, number)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(
            f"{what} of {number}: {time.perf_counter() - began:.1f} s, {time.process_time() - spent:.1f} s of "
            f"processor in the driver; peak memory {peak:.0f} MB, of a worker {child:.0f} MB"
        )


def plan(folder: Path, number: int) -> None:
    """List ``number`` paths: a list of them, and lists and a table that have time, station and part, too."""
    for listed in (write_list(folder, number), *_with_columns(folder, number)):
        began, spent = time.perf_counter(), time.process_time()
        write_paths(folder, items_of([str(listed)]))
        took = f"{time.perf_counter() - began:.1f} s, {time.process_time() - spent:.1f} s of processor"
        print(f"planned from {listed.suffix} in {took}")


def _with_columns(folder: Path, number: int) -> Iterator[Path]:
    """Write a CSV and a table of ``number`` paths, and yield each."""
    path = folder / "list.csv"
    with path.open("w") as stream:
        stream.write("path,time,station,part_id\n")
        for index in range(number):
            stream.write(
                f"line1/image-{index:07d}.png,2026-11-25T09:30:{index % 60:02d}Z,line-{index % 3},{index}\n"
            )
    yield path
    pa, pq = arrow(), parquet()
    kinds = {"path": pa.string(), "time": pa.timestamp("ms", tz="UTC"), "station": pa.string()}
    with pq.ParquetWriter(folder / "list.parquet", pa.schema(kinds)) as writer:
        for start in range(0, number, 100_000):
            rows = range(start, min(start + 100_000, number))
            columns = {
                "path": [f"line1/image-{index:07d}.png" for index in rows],
                "time": [1_790_000_000_000 + index * 1000 for index in rows],
                "station": [f"line-{index % 3}" for index in rows],
            }
            writer.write_table(pa.table({name: pa.array(one, kinds[name]) for name, one in columns.items()}))
    yield folder / "list.parquet"


def run(folder: Path, number: int) -> None:
    """Make the table of ``number`` images with one worker."""
    listed = write_list(folder, number, "image")
    asked = Asked(bundle="none", sha256=Synthetic.sha256)
    run_audit(folder / "audit", [str(listed)], asked, Opening(), observer=open_synthetic)


def report(folder: Path, number: int) -> None:
    """Write the page of ``number`` rows of a year and three stations, 4 % of them explained."""
    (folder / SHARDS).mkdir()
    write_paths(folder, (Item(f"{row}.png") for row in range(number)), 1000)
    shards = -(-number // 1000)
    asked = Asked(bundle="none", sha256="5" * 64)
    write_plan(folder, Plan(asked=asked, sources=["x"], images=number, shards=shards))
    rng = np.random.default_rng(0)
    few = parts(rng, days=1, a_day=1000)
    designs = rng.integers(0, 2**63, 20)
    for shard in range(shards):
        day = shard * 365 // shards
        rows = [
            {**row, "row": shard * 1000 + index, "path": f"{shard}-{index}.png", "sha256": rng.bytes(32).hex(),
             "phash": _alike(int(designs[index % 20]), rng), "station": "abc"[index % 3], "error": "",
             "explained": row.get("explained", ""), "time": BEGIN.fromtimestamp(BEGIN.timestamp() + 86400 * day, BEGIN.tzinfo)}
            for index, row in enumerate(few)
        ]  # fmt: skip
        (folder / SHARDS / f"{shard:06d}.parquet").write_bytes(encoded(table_of(rows)))
    began, spent = time.perf_counter(), time.process_time()
    write_report(folder)
    print(f"written in {time.perf_counter() - began:.1f} s, {time.process_time() - spent:.1f} s of processor")


def _alike(design: int, rng: np.random.Generator) -> int:
    """Return the hash of a part of a design: each part differs in six bits or so."""
    flipped = rng.random(63) < 0.1
    return design ^ int.from_bytes(np.packbits(flipped).tobytes(), "big")


if __name__ == "__main__":
    main()
