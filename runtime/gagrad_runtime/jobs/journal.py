"""Journal: one JSON line per result, from which a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from gagrad_edge import json_text
from gagrad_edge.atomic import output_error

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Keyed(Protocol):
    """A msgspec structure with a key."""

    @property
    def key(self) -> str:
        """What tells the entry from others; see ``key_of``."""


Line = TypeVar("Line", bound=Keyed)

Own = TypeVar("Own", bound="Journal[Any]")


def key_of(**parts: Any) -> str:
    """Return the key of a result: equal exactly when everything that it depends on is equal."""
    return hashlib.sha256(json_text.encode(parts, order="deterministic")).hexdigest()


class Journal(Generic[Line]):
    """The file at ``path``: its entries of the type ``of`` by key, and more to be appended.

    Use it as a context manager.
    """

    def __init__(self, path: Path, of: type[Line]) -> None:
        self._path, self._of = path, of
        self.entries: dict[str, Line] = {}
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

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was added is on the disk already."""
        self._file.close()

    def add(self, entry: Line) -> None:
        """Append ``entry``; it is on the disk when this returns. Raises OutputError."""
        try:
            self._file.write(json_text.encode(entry) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(self._path, error) from error
        self.entries[entry.key] = entry

    def _take(self, line: bytes) -> None:
        try:
            entry = msgspec.json.decode(line, type=self._of)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a line of another version, or damaged: that result is made again
        self.entries[entry.key] = entry
