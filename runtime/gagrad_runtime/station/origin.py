"""Where a station's settings come from: its file, or the command line, which wins."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.errors import GagradError
from gagrad_runtime.station.toml_lines import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PARAMETER = re.compile(r"`(\w+)(?:=([^`]*))?`")
"""A parameter in the hint of an error: the command line would write its option in place of the key."""


@dataclass(frozen=True)
class Origin:
    """The file of a station, and which of its settings the command line gave instead."""

    file: Path | None = None
    given: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By table, its keys that the command line gave."""

    @contextlib.contextmanager
    def naming(self, table: str, files: Mapping[str, str] | None = None) -> Iterator[None]:
        """Let an error of the block about a key of ``table`` name the file and the line of the key.

        ``where`` of such an error is the key, or one of ``files``, which are keys by the files they name. An
        error about a setting that the command line gave stays as it is.
        """
        try:
            yield
        except GagradError as error:
            key = (files or {}).get(error.where or "")
            what = error.what if key is None else f"{error.where}: {error.what}"
            key = key or error.where or ""
            line = self._line(table, key)
            if line is None:
                raise
            raise type(error)(
                f"{table}.{key}: {what}",
                where=f"{self.file}:{line}",
                hint=error.hint and _PARAMETER.sub(_as_in_toml, error.hint),
                choices=error.choices,
            ) from error

    def _line(self, table: str, key: str) -> int | None:
        """Return the line of ``key`` in the file; None where it is not there, or not in force."""
        if self.file is None or key in self.given.get(table, ()):
            return None
        try:
            text = self.file.read_text(encoding="utf-8")
            known = msgspec.toml.decode(text).get(table, {})
        except (OSError, UnicodeDecodeError, msgspec.DecodeError):  # changed since it was read
            return None
        return line_of(text, (table, key)) if key in known else None


def _as_in_toml(found: re.Match[str]) -> str:
    name, value = found.groups()
    return name if value is None else f'{name} = "{value}"'
