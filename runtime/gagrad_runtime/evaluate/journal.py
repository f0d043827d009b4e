"""The journal of a study: one JSON line per result, from which a killed run goes on."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.atomic import output_error
from gagrad_runtime.evaluate.table import Row  # noqa: TC001 - msgspec resolves the fields' types

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

VERSION = 1
"""Version of the metrics, part of every key: raised when one changes its meaning, so that older lines do not
match."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line: a row, and the thumbnail of its map (JPEG)."""

    key: str
    row: Row
    picture: bytes


def key_of(**parts: Any) -> str:
    """Return the key of a result: equal exactly when everything that it depends on is equal."""
    data = msgspec.json.encode({"version": VERSION, **parts}, order="deterministic")
    return hashlib.sha256(data).hexdigest()


class Journal:
    """The file at ``path``: its entries by key, and more to be appended. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: dict[str, Entry] = {}
        try:
            # Opened to read and write: a half-written last line of a killed run is cut off first.
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            whole = 0
            for line in self._file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self._take(line)
            self._file.seek(whole)
            self._file.truncate()
        except OSError as error:
            raise output_error(path, error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Append ``entry``; it is on the disk when this returns. Raises OutputError."""
        try:
            self._file.write(msgspec.json.encode(entry) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(self._path, error) from error
        self.entries[entry.key] = entry

    def _take(self, line: bytes) -> None:
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a line of another version, or damaged: that result is measured again
        self.entries[entry.key] = entry
