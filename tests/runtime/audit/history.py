"""Finished audits with a history that is known: drift, copies and shortcuts are planted."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gagrad_runtime.audit.plan import SHARDS, Asked, Plan, write_paths, write_plan
from gagrad_runtime.audit.rows import table_of
from gagrad_runtime.audit.sources import Item
from gagrad_runtime.audit.worker import encoded

BEGIN = datetime(2026, 9, 7, 6, tzinfo=timezone.utc)
"""A Monday."""


def write_history(
    folder: Path, rows: list[dict[str, Any]], shard: int = 1000, sha256: str = "5" * 64
) -> Path:
    """Write an audit of ``rows`` that is finished; each needs a path only."""
    (folder / SHARDS).mkdir(parents=True)
    write_paths(folder, [Item(row["path"]) for row in rows], shard)
    blank = {"explained": "", "error": "", "station": "", "part_id": "", "cautions": [], "bundle": sha256}
    full = []
    for number, row in enumerate(rows):
        pixels = hashlib.sha256(row["path"].encode()).hexdigest()
        full.append({**blank, "row": number, "sha256": pixels, "phash": number << 20, **row})
    for number in range(0, len(rows), shard):
        file = folder / SHARDS / f"{number // shard:06d}.parquet"
        file.write_bytes(encoded(table_of(full[number : number + shard])))
    asked = Asked(bundle=str(folder / "none.gagrad"), sha256=sha256)
    shards = -(-len(rows) // shard)
    write_plan(folder, Plan(asked=asked, sources=["x"], images=len(rows), shards=shards, shard=shard))
    return folder


def spot(row: int, column: int) -> bytes:
    """Return the bytes of a map with one bright cell."""
    cells = np.ones((16, 16), np.uint8)
    cells[row, column] = 255
    return cells.tobytes()


def parts(
    rng: np.random.Generator, days: int = 35, a_day: int = 120, *, drift: bool = False
) -> list[dict[str, Any]]:
    """Return the rows of parts of two stations; with ``drift`` station b is NG thrice as often at the end."""
    rows = []
    for day in range(days):
        level = rng.beta(10, 240)
        for number in range(a_day):
            station = "ab"[number % 2]
            late = drift and station == "b" and day >= days - 7
            ng = bool(rng.random() < level * (4 if late else 1))
            row = {
                "path": f"{day:02d}-{number:03d}.png",
                "time": BEGIN + timedelta(days=day, seconds=60 * number),
                "station": station, "ng": ng, "probability": rng.uniform(0.8, 1.0), "verdict": "OK",
                "brightness": rng.normal(0.5, 0.01), "contrast": 0.2, "sharpness": 0.1,
            }  # fmt: skip
            if ng:
                cell = (12, 12) if late else (int(rng.integers(0, 8)), int(rng.integers(0, 8)))
                row |= {"explained": "ng", "verdict": "<dent>", "map": spot(*cell), "decides": 1}
            rows.append(row)
    return rows


def write_pictures(folder: Path, count: int) -> list[str]:
    """Write so many small pictures, and return their paths."""
    folder.mkdir()
    found = []
    for number in range(count):
        path = folder / f"<{number}>.png"
        Image.fromarray(np.full((8, 8), number % 256, np.uint8)).save(path)
        found.append(str(path))
    return found
