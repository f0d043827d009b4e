"""JSON of names that are no UTF-8."""

from __future__ import annotations

import json
import os

import msgspec

from gagrad_edge import json_text


class _Thing(msgspec.Struct):
    file: str
    more: dict[str, list[str]]


def test_a_byte_that_is_no_utf8_is_replaced_wherever_it_stands() -> None:
    """Other letters stay, those beyond 16 bits too, and so does the order."""
    name = os.fsdecode(b"\xff\xfe.png")
    thing = _Thing(name, {name: ["ä😀", name]})
    assert json.loads(json_text.encode(thing)) == {"file": "��.png", "more": {"��.png": ["ä😀", "��.png"]}}
    assert json_text.encode({"b": name, "a": 1}, order="sorted").startswith(b'{"a"')


def test_other_values_are_written_as_msgspec_does() -> None:
    """Byte for byte."""
    assert json_text.encode({"a": "ä", "b": [1.5, None]}) == msgspec.json.encode({"a": "ä", "b": [1.5, None]})
