"""What a worker does, on every engine: open the bundle once, and make one shard after the other."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import BundleError
from gagrad_runtime.audit.deaths import NOWHERE
from gagrad_runtime.audit.observing import BundleObserver
from gagrad_runtime.audit.packages import parquet
from gagrad_runtime.audit.plan import Asked, items_of_shard, shard_file
from gagrad_runtime.audit.rows import run_shard
from gagrad_runtime.report.roi import read_roi
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.audit.observing import Observer


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker opens the bundle; it may be sent to another machine."""

    device: str = "auto"
    threads: int | None = None
    trust: str | None = None
    good: str | bool | None = None


@dataclass(frozen=True)
class Work:
    """What the workers of a run share."""

    folder: str
    asked: Asked
    opening: Opening
    shard: int
    """Images of a shard."""
    observer: Callable[[Asked, Opening], Observer]
    """Opens the bundle: ``open_bundle``, or what a test puts in its place; a name in a module."""


def open_bundle(asked: Asked, opening: Opening) -> Observer:
    """Return the bundle of ``asked``, open. Raises what ``open_session`` does, and RoiError."""
    session = open_session(
        asked.bundle,
        opening.device,
        threads=opening.threads,
        trust=opening.trust,
        good=opening.good,
        sha256=asked.sha256,
        remember=True,
    )
    if session.explainer.good_sha256 != asked.good_sha256:
        session.close()
        raise BundleError(
            "what is known of good parts was changed since the plan was made", where=asked.bundle
        )
    settings = {name: value for name, value in asked.settings.items() if value is not None}
    return BundleObserver(session.explainer, None if asked.roi is None else read_roi(asked.roi), settings)


@lru_cache(maxsize=1)
def _opened(observer: Callable[[Asked, Opening], Observer], asked: bytes, opening: bytes) -> Observer:
    return observer(msgspec.json.decode(asked, type=Asked), msgspec.json.decode(opening, type=Opening))


def opened(work: Work) -> Observer:
    """Return the bundle of ``work``, which a process opens once."""
    return _opened(work.observer, msgspec.json.encode(work.asked), msgspec.json.encode(work.opening))


def make_shard(
    work: Work,
    number: int,
    *,
    given_up: frozenset[int] = frozenset(),
    begin: Callable[[int], None] = lambda _: None,
) -> int:
    """Make shard ``number``, and return its rows. A shard that exists is done, and stays as it is.

    The table goes to a temporary file, to the disk, and then gets its name. Raises what concerns the bundle,
    the device or the disk.
    """
    folder = Path(work.folder)
    file = shard_file(folder, number)
    if file.is_file():
        return 0
    items = items_of_shard(folder, number, work.shard)
    first = number * work.shard
    table = run_shard(opened(work), work.asked, first, items, given_up=given_up, begin=begin)
    begin(NOWHERE)
    write_atomic(file, [encoded(table)])
    return len(items)


def encoded(table: Any) -> bytes:
    """Return ``table`` as a Parquet file; the same table gives the same bytes."""
    stream = io.BytesIO()
    parquet().write_table(table, stream, compression="zstd", use_dictionary=True)
    return stream.getvalue()
