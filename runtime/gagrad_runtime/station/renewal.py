"""A new index for a station whose index is new, damaged or gone.

The new file is written beside the old one, whole, and then takes its name. So neither a power cut nor a full
disk leaves half an index, and nothing is moved before there is something to put in its place. See
docs/adr/0026.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gagrad_edge.atomic import sync_folder
from gagrad_runtime.report.naming import ENDINGS
from gagrad_runtime.station import outbox, schema
from gagrad_runtime.station.events import IndexEvent, now
from gagrad_runtime.station.keeping import FRAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ASIDE = 3
"""Damaged indexes that are kept; the oldest go."""
_BESIDE = ("", "-wal", "-shm")
"""Endings of the files of one SQLite database."""
_OURS = re.compile(
    r"(?P<stem>(?P<number>\d{8,15})-[^.]*)(" + "|".join(map(re.escape, (*ENDINGS.values(), FRAME))) + ")"
)
_ADOPTED = "its row was lost with an earlier index"


def begin(
    path: Path, old: sqlite3.Connection, reason: str, sinks: Sequence[str], limit: int, newest: int = 0
) -> IndexEvent | None:
    """Write a new index to ``path``, and return what to tell of it; None when there was none before.

    What is at ``path`` is moved aside. Result files get rows, so that retention knows them, and new rows are
    numbered behind them and behind ``newest``. Events that wait in ``old`` for a receiver, at most ``limit``,
    are taken along. Raises sqlite3.Error and OSError; then nothing was changed.
    """
    waiting = outbox.rescue(old)[-limit:] if limit else []
    aside = _free_name(path) if any(_file(path, one).exists() for one in _BESIDE[:2]) else None
    newest = max(newest, newest_file(path.parent))
    event = IndexEvent(time=now(), state="renewed", reason=reason) if aside is not None or newest else None
    if event is not None and aside is not None:
        event = replace(event, aside=aside.name)
    with _written(path) as connection:
        connection.executescript(schema.TABLES)
        connection.execute("BEGIN")
        schema.number_from(connection, newest)
        _adopt(connection, path.parent)
        outbox.register(connection, sinks)
        for one in [*waiting, *([event] if event is not None and limit else [])]:
            outbox.put(connection, one, limit)
        connection.execute("COMMIT")
    if aside is not None:
        _move(path, aside)
    _take_place(path)
    return event


def restore(path: Path, old: sqlite3.Connection, reason: str, limit: int) -> IndexEvent:
    """Write all of ``old``, whose file was deleted or moved, to ``path``, and return what to tell of it.

    What is at ``path`` now is moved aside. Explanations whose files are gone are ``dropped``. Raises
    sqlite3.Error and OSError; then nothing was changed.
    """
    aside = _free_name(path) if path.exists() else None
    event = IndexEvent(time=now(), state="restored", reason=reason)
    event = event if aside is None else replace(event, aside=aside.name)
    with _written(path) as connection:
        old.backup(connection)
        connection.execute("BEGIN")
        gone = [
            (number,)
            for number, stem in connection.execute(
                "SELECT id, stem FROM result WHERE state = 'explained' AND stem != ''"
            )
            if not (path.parent / (stem + ENDINGS["picture"])).exists()
        ]
        statement = "UPDATE result SET state = 'dropped', reason = 'its files were deleted' WHERE id = ?"
        connection.executemany(statement, gone)
        if limit:
            outbox.put(connection, event, limit)
        connection.execute("COMMIT")
    if aside is not None:
        _move(path, aside)
    _take_place(path)
    return event


def newest_file(folder: Path) -> int:
    """Return the highest number of a result file in ``folder``; 0 without any."""
    found = (_OURS.fullmatch(path.name.removeprefix(".")) for path in folder.iterdir())
    return max((int(match["number"]) for match in found if match), default=0)


def _adopt(connection: sqlite3.Connection, folder: Path) -> None:
    """Insert a row for each explanation with files in ``folder``."""
    sizes: dict[str, int] = {}
    for path in folder.iterdir():
        if match := _OURS.fullmatch(path.name):
            sizes[match["stem"]] = sizes.get(match["stem"], 0) + path.stat().st_size
    statement = (
        "INSERT OR IGNORE INTO result (id, name, sha256, created, state, reason, stem, bytes) "
        "VALUES (?, ?, '', ?, 'explained', ?, ?, ?)"
    )
    for stem in sorted(sizes):
        if all((folder / (stem + ENDINGS[kind])).exists() for kind in ("picture", "record")):
            number = int(stem.partition("-")[0])
            connection.execute(statement, (number, stem, now(), _ADOPTED, stem, sizes[stem]))


@contextlib.contextmanager
def _written(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to a new database, which is complete and on the disk when the block ends."""
    part = _part(path)
    _remove(part)
    try:
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
            # One file, which can be renamed: the outbox's log would have a name of its own.
            connection.execute("PRAGMA journal_mode=DELETE")
    except BaseException:
        _remove(part)
        raise


def _take_place(path: Path) -> None:
    for ending in _BESIDE[1:]:  # of a file that was deleted: SQLite would read it as the log of the new one
        _file(path, ending).unlink(missing_ok=True)
    _part(path).replace(path)
    sync_folder(path.parent)


def _move(path: Path, aside: Path) -> None:
    """Rename a database with its log, and delete the oldest that were moved aside."""
    for ending in _BESIDE:
        if (one := _file(path, ending)).exists() or one.is_symlink():
            one.rename(_file(aside, ending))
    for old in sorted(_aside(path), key=_number)[:-ASIDE]:
        with contextlib.suppress(OSError):
            _remove(old)


def _aside(path: Path) -> list[Path]:
    return [one for one in path.parent.glob(f"{path.stem}.aside-*{path.suffix}") if _number(one)]


def _number(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 0


def _free_name(path: Path) -> Path:
    newest = max(map(_number, _aside(path)), default=0)
    return path.with_name(f"{path.stem}.aside-{newest + 1}{path.suffix}")


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _file(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _remove(path: Path) -> None:
    for ending in (*_BESIDE, "-journal"):
        _file(path, ending).unlink(missing_ok=True)
