"""The catalogues: complete, compiled, with the same places for values, and in letters that the font has."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.language.catalogues import CATALOGUES, compiled, floor_texts, read
from gagrad_runtime.language import plural, speaking, text
from gagrad_runtime.language.font import FONT, LICENCE
from gagrad_runtime.report.index_words import CAUTIONS
from gagrad_runtime.report.lettering import lettering, printable
from gagrad_runtime.report.note_words import NOTES, note_shown

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

CATALOGUE_FILES = sorted(CATALOGUES.glob("*/*.po"))
NEWER = pytest.mark.parametrize("path", CATALOGUE_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")


def texts(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def forms(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def places(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


@pytest.mark.slow
def test_every_text_of_the_source_is_translated() -> None:
    """No text is missing, none is empty, and none is left of a source that has changed."""
    source = {str(message.id) for message in texts(floor_texts())}
    known = texts(read(CATALOGUES / "ja" / "floor.po", "ja"))
    assert {str(message.id) for message in known} == source, "run `python -m examples.language.catalogues`"
    assert [message.id for message in known if not all(forms(message.string)) or not message.string] == []
    assert [message.id for message in known if message.fuzzy] == []


@NEWER
def test_the_compiled_catalogue_is_current(path: Path) -> None:
    """What the program reads is compiled from the text that people edit."""
    assert path.with_suffix(".mo").read_bytes() == compiled(read(path, path.parent.name))


@pytest.mark.parametrize("domain", ["floor"])
def test_a_translation_has_the_places_of_its_text(domain: str) -> None:
    """Each value of the English text stands in the translation, and no other."""
    for message in texts(read(CATALOGUES / "ja" / f"{domain}.po", "ja")):
        wanted = set().union(*map(places, forms(message.id)))
        for form in forms(message.string):
            assert places(form) == wanted, message.id


@NEWER
def test_the_font_has_every_letter(path: Path) -> None:
    """No text of a catalogue has a letter that our own font would show as an empty box."""
    from PIL import ImageFont

    font = ImageFont.truetype(str(FONT), 24)
    missing = bytes(font.getmask("\uffff"))
    assert missing.strip(b"\0"), "the font shows a box for a letter that it lacks"
    letters = {
        letter for message in texts(read(path, "ja")) for form in forms(message.string) for letter in form
    }
    assert [letter for letter in letters - {" "} if bytes(font.getmask(letter)) == missing] == []


def test_pictures_can_write_every_translation() -> None:
    """The lettering of Japanese pictures turns no letter of a translation into another one."""
    with speaking("ja"):
        pen = lettering()
        for message in texts(read(CATALOGUES / "ja" / "floor.po", "ja")):
            for form in forms(message.string):
                written, readable = printable(form, pen)
                assert readable, form
                assert written == " ".join(form.split())


def test_japanese_has_one_form() -> None:
    """One thing and many have the same words, and the number."""
    with speaking("ja"):
        said = [plural("{count} pixel", "{count} pixels", count) for count in (0, 1, 2)]
    assert said == ["0 画素", "1 画素", "2 画素"]


def test_a_text_without_a_translation_is_english() -> None:
    """What no catalogue has is shown as it is."""
    with speaking("ja"):
        assert text("nobody wrote this {number}", number=1) == "nobody wrote this 1"


def test_the_font_is_small_and_has_its_licence() -> None:
    """The page and the picture share one file of at most 1.1 MB, under the Open Font License."""
    assert FONT.stat().st_size <= 1_100_000
    assert FONT.read_bytes()[:4] == b"wOF2"
    assert "SIL OPEN FONT LICENSE Version 1.1" in LICENCE.read_text(encoding="utf-8")


def test_notes_are_recognised(root: Path) -> None:
    """A note is shown in Japanese whatever its values, and each is still written so somewhere."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (root / "runtime").rglob("*.py")
        if path.stem != "note_words"
    )
    for note in NOTES:
        fixed = max(re.split(r"\{\w+\}", note), key=len).replace("more than ", "").strip()
        assert fixed.split(" pages")[0] in source, note
    with speaking("ja"):
        assert note_shown("EXIF orientation 6 applied") == "EXIF の向き 6 を適用"
        assert note_shown("first of more than 1000 pages") == "1000 を超えるページのうち先頭ページ"
        assert note_shown("first of 3 pages") == "3 ページのうち先頭ページ"
        assert note_shown("EXIF as nobody writes it") == "EXIF as nobody writes it"
    assert note_shown("EXIF orientation 6 applied") == "EXIF orientation 6 applied"


def test_every_caution_has_a_short_name(root: Path) -> None:
    """The filter of the page knows each code that docs/cautions.md lists."""
    listed = set(
        re.findall(r"`([a-z]+(?:-[a-z]+)*)`", (root / "docs/cautions.md").read_text(encoding="utf-8"))
    )
    source = "".join(path.read_text(encoding="utf-8") for path in (root / "runtime").rglob("*autions.py"))
    assert set(CAUTIONS) <= listed
    assert all(f'"{code}"' in source for code in CAUTIONS if code not in ("uncalibrated", "unsure"))
