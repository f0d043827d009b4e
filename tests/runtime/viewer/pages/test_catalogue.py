"""The catalogue of the pages: complete, compiled, and without a letter that the font lacks."""

from __future__ import annotations

import re
import string

import pytest
from PIL import ImageFont

from examples.language.catalogues import compiled, read
from examples.language.viewer import CATALOGUE, ROOM, messages
from gagrad_runtime.language.font import FONT

NAMES = {"gagrad-edge", "NG", "OK", "Enter", "Esc", "CVAT", "COCO", "Label", "Studio", "CSV", "GB", "u"}
"""What is written alike in both languages."""


def test_every_message_is_translated() -> None:
    """The Japanese catalogue has each message of templates and modules, and no other."""
    kept = {one.id if isinstance(one.id, str) else one.id[0]: one for one in read(CATALOGUE, "ja") if one.id}
    source = dict(messages())
    assert set(kept) == set(source)
    empty = [name for name, one in kept.items() if not _whole(one.string)]
    assert not empty


def test_translations_have_the_same_places() -> None:
    """A translation has the places for values that the English has: none is lost, none is made up."""
    for one in read(CATALOGUE, "ja"):
        if not one.id:
            continue
        english = one.id if isinstance(one.id, str) else one.id[1]
        strings = [one.string] if isinstance(one.string, str) else one.string
        for translation in strings:
            assert _places(translation) == _places(english), english


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    """``viewer.mo`` is what ``viewer.po`` compiles to."""
    assert CATALOGUE.with_suffix(".mo").read_bytes() == compiled(read(CATALOGUE, "ja"))


def test_the_font_has_every_letter() -> None:
    """No message shows an empty box: the font that goes with the pages has all its letters."""
    font = ImageFont.truetype(str(FONT), 24)
    missing = bytes(font.getmask("\uffff"))
    text = "".join(
        part
        for one in read(CATALOGUE, "ja")
        if one.id
        for part in ([one.string] if isinstance(one.string, str) else one.string)
    )
    signs = set(text) - set(string.printable) - set("\u3000")
    assert not [one for one in sorted(signs) if bytes(font.getmask(one)) == missing]


@pytest.mark.parametrize("path", sorted((ROOM / "templates").glob("*.html")), ids=lambda path: path.name)
def test_templates_say_nothing_outside_the_catalogue(path) -> None:
    """What a template writes by itself is the same in both languages: names, signs, numbers."""
    text = path.read_text(encoding="utf-8")
    bare = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", " ", text, flags=re.DOTALL)
    words = set(re.findall(r"[A-Za-z][A-Za-z-]*", bare))
    assert words <= NAMES


def _places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _whole(translation: object) -> bool:
    parts = [translation] if isinstance(translation, str) else list(translation or ())  # type: ignore[call-overload]
    return bool(parts) and all(parts)
