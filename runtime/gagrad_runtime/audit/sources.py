"""Sources of an audit: folders, lists, tables of paths, a station's results, addresses of an object store."""

from __future__ import annotations

import csv
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gagrad_edge.errors import FrameError, InputError
from gagrad_runtime.audit.packages import package, parquet
from gagrad_runtime.jobs.folders import walk_images
from gagrad_runtime.report.naming import ENDINGS
from gagrad_runtime.station.keeping import FRAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gagrad_edge.input import InputSpec

LISTS, TABLES = (".txt", ".csv"), (".parquet",)
"""Endings of lists of paths: one a line, or with a header that names the columns; and of tables."""
NAMES = ("path", "time", "station", "part_id")
"""Columns that a list or a table may have; only ``path`` has to be there."""
_ADDRESS = "://"
_INDEX = "index.sqlite"
"""File by which a station's folder of results is known."""
_FORMS = (
    "a folder",
    "an image",
    "a list (.txt, .csv)",
    "a table with a column `path` (.parquet)",
    "an address",
)


class Item(NamedTuple):
    """One image to look at, with what its list says of it."""

    path: str
    """Path, or the address of an object. Bytes of a file name that are no UTF-8 are surrogates."""
    time: datetime | None = None
    station: str = ""
    part_id: str = ""


def items_of(sources: Sequence[str], spec: InputSpec | None = None) -> Iterator[Item]:
    """Yield the images that ``sources`` name, in an order that is the same each time.

    Raises InputError for a source that is not there or cannot be read.
    """
    for given in sources:
        if _ADDRESS in given:
            yield from _objects(given)
            continue
        source = str(Path(given).absolute())  # a worker elsewhere has another folder of its own
        if Path(source).is_dir():
            if (Path(source) / _INDEX).is_file():
                yield from _station(Path(source))
            else:
                yield from map(Item, walk_images(source, spec))
        elif not Path(source).is_file():
            raise InputError("there is no such file or folder", where=source, choices=_FORMS)
        elif source.lower().endswith(TABLES):
            yield from _table(source)
        elif source.lower().endswith(LISTS):
            yield from _listed(source)
        else:
            yield Item(source)


def content(path: str) -> bytes | str:
    """Return what a frame is loaded from: the path itself, or the bytes of an object. Raises FrameError."""
    if _ADDRESS not in path:
        return path
    try:
        system, name = package("pyarrow.fs").FileSystem.from_uri(path)
        with system.open_input_file(name) as stream:
            data: bytes = stream.read()
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        raise FrameError(f"the object cannot be read ({_first_line(error)})", where=path) from error
    return data


def changed(path: str) -> datetime | None:
    """Return when the file at ``path`` was last changed; None for objects and missing files."""
    if _ADDRESS in path:
        return None
    try:
        return datetime.fromtimestamp(os.stat(path).st_mtime, timezone.utc)  # noqa: PTH116 - a tenth of the time
    except (OSError, ValueError):
        return None


def _objects(address: str) -> Iterator[Item]:
    """Yield the images below an address, or the one that it names."""
    fs = package("pyarrow.fs")
    try:
        system, name = fs.FileSystem.from_uri(address)
        found = system.get_file_info(name)
        if found.type == fs.FileType.File:
            yield Item(address)
            return
        listed = system.get_file_info(fs.FileSelector(name, recursive=True))
    except (OSError, ValueError) as error:
        raise InputError(f"the address cannot be read ({_first_line(error)})", where=address) from error
    kinds = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
    prefix = (
        address[: len(address) - len(name)]
        if address.endswith(name)
        else address.split(_ADDRESS, maxsplit=1)[0] + _ADDRESS
    )
    for one in sorted(listed, key=lambda info: str(info.path)):
        if one.type == fs.FileType.File and str(one.path).lower().endswith(kinds):
            yield Item(f"{prefix}{one.path}", one.mtime)


def _station(folder: Path) -> Iterator[Item]:
    """Yield the frames that a station explained: as its records name them, or as it kept them."""
    for path in sorted(folder.glob("*" + ENDINGS["record"])):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
        except (OSError, msgspec.DecodeError):  # another file of the folder
            continue
        kept = path.with_name(path.name.removesuffix(ENDINGS["record"]) + FRAME)
        file = str(kept) if kept.is_file() else record.frame.file
        yield Item(file, _time(record.run.created, str(path)), folder.resolve().name)


class _Frame(msgspec.Struct):
    file: str


class _Run(msgspec.Struct):
    created: str


class _Record(msgspec.Struct):
    """What is read of a record."""

    frame: _Frame
    run: _Run


def _listed(source: str) -> Iterator[Item]:
    folder = str(Path(source).parent)
    with Path(source).open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        if not source.lower().endswith(".csv"):
            yield from (Item(_beside(line.rstrip("\r\n"), folder)) for line in stream if line.strip())
            return
        rows = csv.reader(stream)
        header = next(rows, [])
        _check_columns(header, source)
        width, places = len(header), [header.index(name) if name in header else -1 for name in NAMES]
        for row in rows:
            if row:
                filled = row[:width] + [""] * max(
                    width - len(row) + 1, 1
                )  # the last: a column that is not there
                yield _item([filled[place] for place in places], folder, source)


def _table(source: str) -> Iterator[Item]:
    folder = str(Path(source).parent)
    try:
        file = parquet().ParquetFile(source)
        known = file.schema_arrow.names
        _check_columns(known, source)
        columns = [name for name in NAMES if name in known]
        for batch in file.iter_batches(batch_size=10_000, columns=columns):
            nothing = [None] * batch.num_rows
            listed = [batch.column(name).to_pylist() if name in columns else nothing for name in NAMES]
            yield from (_item(row, folder, source) for row in zip(*listed, strict=True))
    except (OSError, ValueError) as error:
        raise InputError(f"the table cannot be read ({_first_line(error)})", where=source) from error


def _check_columns(names: Iterable[str], source: str) -> None:
    if "path" not in names:
        raise InputError("it has no column `path`", where=source, choices=NAMES)


def _item(row: Sequence[Any], folder: str, source: str) -> Item:
    """Return the image of ``row``, which has the values of ``NAMES``."""
    path, time, station, part_id = row
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if time and not isinstance(time, datetime):
        time = _time(str(time), source)
    if time and time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return Item(_beside(str(path), folder), time or None, str(station or ""), str(part_id or ""))


def _beside(path: str, folder: str) -> str:
    """Return ``path`` as it is, or below ``folder``, that of the list that names it.

    Ten million of them are listed: a path is only taken apart where it has something to tidy.
    """
    if _ADDRESS in path or os.path.isabs(path):  # noqa: PTH117
        return path
    if "./" in path or "//" in path:
        return str(Path(folder) / path)
    return f"{folder.rstrip(os.sep)}{os.sep}{path}"


def _time(text: str, where: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time", where=where, hint="write it as 2026-11-25T09:30:00Z"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
