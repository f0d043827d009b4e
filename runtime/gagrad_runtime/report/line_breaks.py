"""Line breaks: where a line of text may end.

English ends a line at a space. Japanese has none: a line may end behind each letter, but not so that the next
one begins with a mark that belongs to what stands before it, such as a full stop, nor behind an opening
bracket (JIS X 4051). Words in Latin letters and numbers stay whole.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gagrad_runtime.language import current

_NOT_FIRST = re.escape(
    "、。，．・：；？！゛゜ヽヾゝゞ々ー）］｝〕〉》」』】’”…‥〜～％℃!%),.:;?]}"
    "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
"""Letters that no line begins with."""
_NOT_LAST = re.escape("（［｛〔〈《「『【‘“([{")
"""Letters that no line ends with."""
_LETTERS = "\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60"
"""Kana, kanji and their signs, between which a line may end."""
_PIECE = f"[{_NOT_LAST}]*(?:[{_LETTERS}]|[^{_LETTERS}{_NOT_LAST}]+)[{_NOT_FIRST}]*"
"""A text, as only Japanese needs it and compiling it takes 3 ms; ``re`` keeps what it has compiled."""

_SPACE = re.compile(" (?!%)")
"""A space where a line may end: a number keeps its per cent sign."""


class Piece(NamedTuple):
    """A part of a text that stays on one line, and what stands before it where the line goes on."""

    space: str
    """A space, or nothing."""
    letters: str


def pieces(text: str) -> list[Piece]:
    """Return the pieces of ``text`` in the current language; joined with their spaces they are the text."""
    if current() == "en":
        return [Piece(" ", word) for word in text.split(" ")]
    return [
        Piece(" " if number == 0 else "", part)
        for word in _SPACE.split(text)
        for number, part in enumerate(_parts(word))
    ]


def _parts(word: str) -> list[str]:
    """Return ``word`` cut at every place where a line may end."""
    parts = re.findall(_PIECE, word)
    return parts if parts and "".join(parts) == word else [word]
