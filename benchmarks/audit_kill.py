"""Kills an audit's processes at random: ``python -m benchmarks.audit_kill local|ray [KILLS] [IMAGES]``.

An audit runs undisturbed, and a second time while workers, the driver, a node or all of them are killed. The line
that it prints says who was killed how often, whether all files of the two tables are equal, and how many rows come
twice or are missing. The model costs nothing; each shard has 20 images. Figures are in docs/audit.md.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from tests.runtime.audit.killing import Cluster, Local, kill_at_random
from tests.runtime.audit.synthetic import write_list


def main() -> None:
    """Compare the two tables."""
    name, kills = sys.argv[1], int((*sys.argv[2:], "20")[0])
    images = int(sys.argv[3]) if len(sys.argv) > 3 else 6000
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        listed = write_list(folder, images)
        calm, rough = folder / "calm", folder / "rough"
        kill_at_random(Local(), calm, listed, 0, random.Random())  # noqa: S311 - no secrets
        engine = Local() if name == "local" else Cluster()
        began = time.monotonic()
        try:
            killed = kill_at_random(engine, rough, listed, kills, random.Random(kills))  # noqa: S311
        finally:
            engine.close()
        spent = time.monotonic() - began
        tables = [{one.name: one.read_bytes() for one in (f / "shards").iterdir()} for f in (calm, rough)]
        rows = pq.read_table(rough / "shards", columns=["row"])["row"].to_pylist()
    said = ", ".join(f"{whom} {count} times" for whom, count in sorted(killed.items()))
    print(
        f"{name}: {killed.total()} kills ({said}) in {spent:.0f} s; tables "
        f"{'equal' if tables[0] == tables[1] else 'DIFFERENT'}, {len(tables[1])} files; {len(rows)} rows, "
        f"{len(rows) - len(set(rows))} twice, {images - len(set(rows))} missing"
    )
    if tables[0] != tables[1]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
