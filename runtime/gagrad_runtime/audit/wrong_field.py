"""A field of a JSON file that has a wrong value, in words for the people who edit the file.

msgspec says where and of which type: ``Expected `int`, got `str` - at `$.clusters[0].images```. People who
edit a file by hand read what the value is there, what it may be, and how to write that.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Path = tuple[str | int, ...]
"""Names of fields and keys, and numbers of entries from 0."""
_KINDS = {
    "int": ("a whole number", "write a whole number, such as 3"),
    "float": ("a number", "write a number, such as 0.25"),
    "str": ("a text", 'write the text in quotation marks, such as "dent"'),
    "bool": ("true or false", "write true or false, without quotation marks"),
    "array": ("a list", "write the entries between [ and ], with commas"),
    "object": ("an object", "write its fields between { and }, with commas"),
    "datetime": ("a time", 'write date and time in UTC, such as "2026-11-28T09:30:00Z"'),
    "null": ("null", "write null"),
}
"""What msgspec's types are called, and how a value of each is written."""
_LONGEST = 40
"""Characters of a value that are shown."""
_WRITTEN = (
    "restore what gagrad-edge clusters wrote, or move the file away and run gagrad-edge clusters AUDIT again"
)


class WrongField(NamedTuple):
    """What is wrong, and how to mend it."""

    path: Path
    what: str
    hint: str
    choices: tuple[str, ...] = ()


def wrong_field(message: str, told: Any, kind: Any) -> WrongField:
    """Return what ``message`` of msgspec says of ``told``, which should be a ``kind``."""
    said, _, where = message.partition(" - at `$")
    path = _path(where.rstrip("`"), message, told, kind)
    value, expected = _at(told, path), _expected(inspect.type_info(kind), path)
    if choices := _choices(expected):
        return WrongField(path, f"{_shown(value)} is not possible", _hint(value, choices), choices)
    if not path and said.startswith("Expected"):
        return WrongField(path, f"the file holds {_shown(value)}, and no findings", _WRITTEN)
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", said):
        choices = _fields(expected)
        return WrongField(path, f"there is no field {found[1]!r}", _hint(found[1], choices), choices)
    for form, words in _FORMS.items():
        if found := re.fullmatch(form, said):
            return WrongField(path, *words(value, found))
    return WrongField(path, f"{said[:1].lower()}{said[1:]}", _WRITTEN)


def _of_another_type(value: Any, found: re.Match[str]) -> tuple[str, str]:
    kinds = found[1].split(" | ")
    names = [_KINDS.get(one, (one, ""))[0] for one in kinds]
    hints = [_KINDS.get(one, ("", f"write {one}"))[1] for one in kinds]
    if isinstance(value, str) and {"int", "float"} & {*kinds} and re.fullmatch(r"-?\d+(\.\d+)?", value):
        hints = ["leave out the quotation marks"]
    what = f"{_shown(value)} is not {' or '.join(names)}"
    return what, ", or ".join(hints).replace(", or write", ", or")


def _out_of_range(value: Any, found: re.Match[str]) -> tuple[str, str]:
    limit = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}[found[1]]
    return f"{_shown(value)} is out of range", f"write a number of {limit} {float(found[2]):g}"


def _of_another_length(value: Any, found: re.Match[str]) -> tuple[str, str]:
    return f"the list has {len(value)} entries, and must have {found[1]}", _WRITTEN


def _missing(_: Any, found: re.Match[str]) -> tuple[str, str]:
    return f"the field {found[1]!r} is missing", _WRITTEN


def _no_time(value: Any, _: re.Match[str]) -> tuple[str, str]:
    return f"{_shown(value)} is no time", f"{_KINDS['datetime'][1]}, or null"


def _no_hash(value: Any, _: re.Match[str]) -> tuple[str, str]:
    return f"{_shown(value)} is no SHA-256", f"it has 64 of 0-9 and a-f: {_WRITTEN}"


_FORMS: dict[str, Callable[[Any, re.Match[str]], tuple[str, str]]] = {
    r"Object missing required field `(.*)`": _missing,
    r"Invalid RFC3339.*": _no_time,
    r"Expected `str` matching regex .*": _no_hash,
    r"Expected `array` of length (\d+)(?:, got \d+)?": _of_another_length,
    r"Expected `(?:int|float)` (<=|>=|<|>) (\S+)": _out_of_range,
    r"Expected `(.*)`, got `.*`": _of_another_type,
}
"""What msgspec says, and what says it in our words: of the value that is there, and what was matched."""


def _hint(value: Any, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else "write one of those below"


def _shown(value: Any) -> str:
    """Return a value as it stands in the file; of a list and an object only what it is."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"


def _path(where: str, message: str, told: Any, kind: Any) -> Path:
    """Return the path that a message names; ``[...]`` in it is any key, and is found by trying."""
    path: Path = ()
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", where):
        if index == "...":
            path = (*path, _key(_at(told, path), message, told, kind))
        else:
            path = (*path, name or int(index))
    return path


def _key(found: dict[str, Any], message: str, told: Any, kind: Any) -> str:
    """Return the key of ``found``, an object within ``told``, by which ``message`` comes."""
    entries = dict(found)
    try:
        for name, value in entries.items():
            found.clear()
            found[name] = value
            try:
                msgspec.convert(told, kind)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    return name
    finally:
        found.clear()
        found.update(entries)
    return "..."


def _at(told: Any, path: Path) -> Any:
    for part in path:
        told = told[part]
    return told


def _expected(kind: Any, path: Path) -> Any:
    """Return msgspec's description of the type at ``path`` of ``kind``; None where it has none."""
    for part in path:
        fields = {one.encode_name: one.type for one in getattr(kind, "fields", ())}
        kind = fields.get(part) or getattr(kind, "item_type", None) or getattr(kind, "value_type", None)
    return kind


def _choices(expected: Any) -> tuple[str, ...]:
    """Return the values of a literal, also of one that may be null."""
    kinds = getattr(expected, "types", (expected,))
    return tuple(str(value) for one in kinds for value in getattr(one, "values", ()))


def _fields(expected: Any) -> tuple[str, ...]:
    return tuple(one.encode_name for one in getattr(expected, "fields", ()))
