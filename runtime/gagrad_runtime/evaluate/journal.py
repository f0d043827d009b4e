"""The journal of a study: one JSON line per result, from which a killed run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_runtime.evaluate.table import Row  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_runtime.jobs import journal

if TYPE_CHECKING:
    from pathlib import Path

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
    return journal.key_of(version=VERSION, **parts)


class Journal(journal.Journal[Entry]):
    """The file at ``path``: its entries by key, and more to be appended. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Entry)
