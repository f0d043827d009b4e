"""Line numbers of values in a TOML file, so that an error can name the line."""

from __future__ import annotations

import re
from typing import Any

import msgspec

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)(.+?)\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_QUOTES = ('"""', "'''")


def line_of(text: str, path: Path) -> int | None:
    """Return the line, from 1, where ``path`` begins, or the deepest part of it that has a line of its own.

    ``path`` has names, and numbers for the elements of arrays. None when not even its first part is found.
    """
    best: tuple[int, int] | None = None
    for number, found in _places(text):
        depth = len(found)
        if path[:depth] == found and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def path_of(message: str) -> Path:
    """Return the path in a message of msgspec: ``… - at `$.mqtt.port```; ``[...]`` is any element."""
    found = re.search(r"at `\$([^`]*)`", message)
    parts = re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", found.group(1)) if found else []
    return tuple(name or int(index) if name or index.isdigit() else 0 for name, index in parts)


def _places(text: str) -> list[tuple[int, Path]]:
    """Return each line that begins a table or a value, with its path."""
    places: list[tuple[int, Path]] = []
    table: Path = ()
    counts: dict[Path, int] = {}
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _names(header.group(2))
            if header.group(1) == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            places.append((number, table))
        elif key := _KEY.match(line):
            places.append((number, (*table, *_names(key.group(1)))))
            value = line[key.end() :]
            closing = next((quote for quote in _QUOTES if value.count(quote) == 1), "")
    return places


def _names(key: str) -> Path:
    """Return the parts of a dotted key; TOML's own parser knows about quotes."""
    try:
        table: Any = msgspec.toml.decode(f"{key} = 0")
    except msgspec.DecodeError:
        return (key.strip(),)
    names: list[str] = []
    while isinstance(table, dict):
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)
