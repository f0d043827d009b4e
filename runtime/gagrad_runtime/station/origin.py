"""Where a station's settings come from: its file, or the command line, which wins."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import InputError, SettingError
from gagrad_runtime.station.toml_lines import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARAMETER = re.compile(r"`(\w+)(?:=([^`]*))?`")
"""A parameter in the hint of an error: the command line would write its option in place of the key."""


@dataclass(frozen=True)
class Origin:
    """The file of a station, and which of its settings the command line gave instead."""

    file: Path | None = None
    given: frozenset[str] = frozenset()

    @contextlib.contextmanager
    def naming(self, table: str) -> Iterator[None]:
        """Let an error of the block about a key of ``table`` name the file and the line of the key.

        ``where`` of such an error is the key. One that the command line gave stays as it is.
        """
        try:
            yield
        except (SettingError, InputError) as error:
            line = self._line(table, error.where)
            if line is None:
                raise
            raise type(error)(
                f"{table}.{error.where}: {error.what}",
                where=f"{self.file}:{line}",
                hint=error.hint and _PARAMETER.sub(_as_in_toml, error.hint),
                choices=error.choices,
            ) from error

    def _line(self, table: str, key: str | None) -> int | None:
        if self.file is None or key is None or key in self.given:
            return None
        try:
            return line_of(self.file.read_text(encoding="utf-8"), (table, key))
        except (OSError, UnicodeDecodeError):
            return None


def _as_in_toml(found: re.Match[str]) -> str:
    name, value = found.groups()
    return name if value is None else f'{name} = "{value}"'
