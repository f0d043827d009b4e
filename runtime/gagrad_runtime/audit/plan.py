"""The plan of an audit: which images, in which shards, asked what. It is made once; a run goes by it.

``paths.parquet`` has the images, a row group for some shards; ``audit.json`` what they are asked. A shard's
number names its file, so whoever makes a shard, and how often, there is one file of it.
"""

from __future__ import annotations

import itertools
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.atomic import output_error, sync_folder, write_atomic
from gagrad_edge.errors import InputError, SettingError
from gagrad_runtime.audit.packages import arrow, parquet
from gagrad_runtime.audit.sources import Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SHARD = 1000
"""Images of a shard where there are many: some seconds of work, so little is lost with a worker, and half a
megabyte."""
LEAST, EACH = 25, 4
"""Images of the smallest shard, and shards that each worker gets at least: with fewer, some would wait."""
GROUPED = 16
"""Shards of a row group: each process that reads the images holds an entry of every group."""
PLAN, PATHS, SHARDS = "audit.json", "paths.parquet", "shards"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What each image is asked. Two runs with the same plan give the same table."""

    bundle: str
    """Path of the bundle."""
    sha256: str
    """Of the bundle's bytes."""
    good_sha256: str | None = None
    """Of what is known of good parts, with which the images are compared; None for nothing."""
    roi: str | None = None
    """Path of the region of interest."""
    settings: dict[str, Any] = {}
    """Settings of the explanations, the chunk included: another one rounds differently."""
    one_in: int = 1000
    """Of the images that nothing marks, one in so many is explained; 0 for none."""
    share: float = 1.0
    """Share of the marked images (NG, unsure, with a caution) that are explained, 0..1."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``audit.json``."""

    schema: int = 1
    asked: Asked
    sources: list[str]
    images: int
    shards: int
    shard: int = SHARD
    """Images of a shard, chosen by the number of images and workers; the last one may have fewer."""


def shard_size(images: int, workers: int) -> int:
    """Return how many images a shard has, so that each of ``workers`` gets some; ``SHARD`` of many images."""
    return min(max(-(-images // (EACH * workers)), LEAST), SHARD)


def write_paths(
    folder: Path, items: Iterable[Item], shard: int | None = None, workers: int = 1
) -> tuple[int, int]:
    """Write the images ``items`` to ``paths.parquet``; return their number, and that of a shard.

    ``shard`` is by default what suits the number of images and ``workers``. It holds only so many images as
    decide that. Raises OutputError, and InputError where there are none.
    """
    pa, pq = arrow(), parquet()
    fields = [("path", pa.binary()), ("time", pa.timestamp("ms", tz="UTC")), ("station", pa.string())]
    schema = pa.schema([*fields, ("part_id", pa.string())])
    target = folder / PATHS
    part = target.with_name(f".{PATHS}.part")
    stream, count = iter(items), 0
    if shard is None:
        first = list(itertools.islice(stream, SHARD * EACH * workers))
        shard, stream = shard_size(len(first), workers), itertools.chain(first, stream)
        del first
    try:
        with pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=["station"]) as writer:
            while batches := list(_batches(itertools.islice(stream, shard * GROUPED), schema, shard)):
                table = pa.Table.from_batches(batches)
                writer.write_table(table, row_group_size=shard * GROUPED)
                count += table.num_rows
        if not count:
            raise InputError("there are no images to look at", where="sources")
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(target)
        sync_folder(folder)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        part.unlink(missing_ok=True)
    return count, shard


def _batches(items: Iterable[Item], schema: Any, shard: int) -> Iterator[Any]:
    """Yield ``items`` as Arrow has them, a shard at a time: Python's objects take ten times as much."""
    pa, stream = arrow(), iter(items)
    while rows := list(itertools.islice(stream, shard)):
        paths, times, stations, parts = zip(*rows, strict=True)
        columns = [list(map(os.fsencode, paths)), times, stations, parts]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def write_plan(folder: Path, plan: Plan) -> None:
    """Write ``audit.json``. Raises OutputError."""
    write_atomic(folder / PLAN, [msgspec.json.format(msgspec.json.encode(plan)), b"\n"])


def read_plan(folder: Path) -> Plan | None:
    """Return the plan in ``folder``; None where there is none. Raises InputError for one that is damaged."""
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"the plan cannot be read ({error})", where=str(folder / PLAN)) from error


def check_same(plan: Plan, asked: Asked, sources: list[str]) -> None:
    """Raise SettingError where the audit of ``plan`` has another question than ``asked``.

    The chunk, and how much a budget leaves, are the plan's: they were measured when it was made.
    """
    fixed = {name: getattr(plan.asked, name) for name in ("sha256", "good_sha256", "roi", "one_in")}
    fixed |= {"settings": {**plan.asked.settings, "chunk": None}, "sources": plan.sources}
    given = {name: getattr(asked, name) for name in ("sha256", "good_sha256", "roi", "one_in")}
    given |= {"settings": {**asked.settings, "chunk": None}, "sources": sources}
    other = [name for name, value in fixed.items() if given[name] != value]
    if other:
        raise SettingError(
            f"the audit in this folder was begun with another {', '.join(other)}",
            where="output",
            hint="give another folder, or the same question as before",
        )


def shard_file(folder: Path, number: int) -> Path:
    """Return the file of shard ``number``."""
    return folder / SHARDS / f"{number:06d}.parquet"


def missing(folder: Path, plan: Plan) -> list[int]:
    """Return the numbers of the shards that are not done."""
    return [number for number in range(plan.shards) if not shard_file(folder, number).is_file()]


def items_of_shard(folder: Path, number: int, shard: int) -> list[Item]:
    """Return the images of shard ``number``, of ``shard`` images each.

    A plan of an earlier version has a row group for each shard.
    """
    path = folder / PATHS
    paths = _paths(path, path.stat().st_mtime_ns)
    grouped = -(-paths.metadata.row_group(0).num_rows // shard)
    group, within = divmod(number, grouped)
    rows = paths.read_row_group(group).slice(within * shard, shard).to_pylist()
    return [
        Item(os.fsdecode(row["path"]), row["time"], row["station"] or "", row["part_id"] or "")
        for row in rows
    ]


@lru_cache(maxsize=1)
def _paths(path: Path, changed: int) -> Any:  # noqa: ARG001 - a file that was replaced is read again
    return parquet().ParquetFile(path)
