"""Languages: what people read, in English or Japanese. Codes, records and events are English alone.

``text`` and ``plural`` translate at once into the current language; ``phrase`` and ``phrases`` make English
text that can be shown in another language later (``shown``). docs/adr/0034-languages.md says why so.
"""

from __future__ import annotations

from gagrad_runtime.language.choice import (
    LANGUAGES,
    VARIABLE,
    Language,
    accepted,
    choose,
    current,
    speaking,
)
from gagrad_runtime.language.phrase import (
    Phrase,
    joined,
    listed,
    marked,
    phrase,
    phrases,
    plural,
    shown,
    text,
)
from gagrad_runtime.language.translation import translated, translated_plural

__all__ = [
    "LANGUAGES",
    "VARIABLE",
    "Language",
    "Phrase",
    "accepted",
    "choose",
    "current",
    "joined",
    "listed",
    "marked",
    "phrase",
    "phrases",
    "plural",
    "shown",
    "speaking",
    "text",
    "translated",
    "translated_plural",
]
