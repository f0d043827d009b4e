"""The page of a run over many images, and how a run that was stopped goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge import __version__
from gagrad_edge.atomic import write_atomic
from gagrad_runtime.jobs.journal import Journal, key_of
from gagrad_runtime.language import phrase
from gagrad_runtime.report.index_page import PAGE, TABLE, Row, render_index, render_table, utf8

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from gagrad_runtime.frame.frame import Frame

JOURNAL = "index.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One image that is done: the rows of its explanations, none where there was nothing to explain."""

    key: str
    rows: tuple[Row, ...]


def asked_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked, for the key of each image; a file among ``given`` stands for its bytes."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        named = isinstance(value, (str, Path)) and value != "" and Path(value).is_file()
        found[name] = hashlib.sha256(Path(value).read_bytes()).hexdigest() if named else value
    return found


class Index:
    """The results of a run in the folder ``output``, as ``index.html`` and ``index.csv``.

    ``asked`` is everything that the results depend on beside the frame: bundle, engine, settings, target. An
    image that was explained before with the same, and whose files are still there, is kept. Use it as a
    context manager: the page is written at its end, also where an error or the user ends the run.
    """

    def __init__(
        self, output: Path, bundle: str, asked: Mapping[str, Any], facts: Sequence[str] = ()
    ) -> None:
        self._output, self._bundle, self._asked, self._facts = output, bundle, dict(asked), facts
        self._journal = Journal(output / JOURNAL, Entry)
        self._rows: dict[str, tuple[Row, ...]] = {}
        self.kept = 0
        """Number of images that were explained before."""

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()
        if self._rows:
            self._write()

    def before(self, path: str, frame: Frame) -> tuple[Row, ...] | None:
        """Return the rows of ``frame`` from an earlier run, and keep them; None where there are none."""
        entry = self._journal.entries.get(self._key(path, frame))
        if entry is None or not all(
            (self._output / name).is_file() for row in entry.rows for name in row.files.values()
        ):
            return None
        self.kept += 1
        self._rows[path] = entry.rows
        return entry.rows

    def done(self, path: str, frame: Frame, rows: Sequence[Row]) -> None:
        """Take the ``rows`` of an image whose files are written. Raises OutputError."""
        self._rows[path] = tuple(rows)
        self._journal.add(Entry(key=self._key(path, frame), rows=self._rows[path]))

    def failed(self, path: str, row: Row) -> None:
        """Take the ``row`` of an image with an error; the next run tries it again."""
        self._rows[path] = (row,)

    @property
    def page(self) -> Path:
        """Path of the page."""
        return self._output / PAGE

    def _key(self, path: str, frame: Frame) -> str:
        return key_of(program=__version__, asked=self._asked, file=utf8(path), frame=frame.sha256)

    def _write(self) -> None:
        rows = [row for of_image in self._rows.values() for row in of_image]
        write_atomic(self._output / TABLE, [render_table(rows)])
        facts = (*self._facts, phrase("{count} images", count=len(self._rows)))
        write_atomic(self.page, [render_index(self._bundle, rows, facts).encode()])
