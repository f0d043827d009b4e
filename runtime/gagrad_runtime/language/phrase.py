"""Phrases: English text that knows how to be shown in another language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gagrad_runtime.language.choice import Language, current
from gagrad_runtime.language.translation import Domain, translated, translated_plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Phrase(str):
    """English text; what ``shown`` makes of it is the same in the current language.

    A record and a program get the English, a person the translation: the text of a caution is one. Joining or
    cutting makes plain text of it, as with any str.
    """

    __slots__ = ("domain", "many", "message", "number", "values")

    message: str
    """The English text with places for values, such as ``place {number}``."""
    many: str | None
    """The same for several things; None where there is nothing to count."""
    number: int
    values: Mapping[str, Any]
    domain: Domain

    def __new__(
        cls, message: str, many: str | None, number: int, values: Mapping[str, Any], domain: Domain = "floor"
    ) -> Phrase:
        """Return the phrase in English."""
        written = message if many is None or number == 1 else many
        made = super().__new__(cls, written.format(**values) if values else written)
        made.message, made.many, made.number, made.values, made.domain = message, many, number, values, domain
        return made

    def in_language(self, language: Language) -> str:
        """Return the text in ``language``; phrases among its values are translated, too."""
        if language == "en":
            return str(self)
        if self.many is None:
            written = translated(self.message, language, self.domain)
        else:
            written = translated_plural(self.message, self.many, self.number, language, self.domain)
        if not self.values:
            return written
        values = {
            name: value.in_language(language) if isinstance(value, Phrase) else value
            for name, value in self.values.items()
        }
        return written.format(**values)

    def __reduce__(self) -> tuple[object, ...]:
        return (Phrase, (self.message, self.many, self.number, dict(self.values), self.domain))


def phrase(message: str, /, **values: Any) -> Phrase:
    """Return ``message`` with ``values`` in its places: English, until it is ``shown``."""
    return Phrase(message, None, 0, values)


def phrases(one: str, many: str, count: int, /, **values: Any) -> Phrase:
    """Return the form for ``count`` things, which stands in the place ``{count}``."""
    return Phrase(one, many, count, dict(values, count=count))


def marked(message: str) -> str:
    """Return ``message`` as it is: it is translated elsewhere, and belongs in the catalogue."""
    return message


BETWEEN = (marked("{before}, {item}"), marked("{before}; {item}"), marked("{before} or {item}"))
"""What ``listed`` writes for each separator."""


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """Return ``items`` behind each other, their ``separator`` in the language in which they are shown."""
    whole: str = items[0] if items else ""
    for item in items[1:]:
        whole = Phrase(f"{{before}}{separator}{{item}}", None, 0, {"before": whole, "item": item})
    return whole


def joined(sentences: Iterable[str]) -> str:
    """Return ``sentences``, which are in the current language, behind each other: Japanese has no space."""
    return ("" if current() == "ja" else " ").join(sentences)


def shown(value: str) -> str:
    """Return a phrase in the current language; any other text as it is."""
    return value.in_language(current()) if isinstance(value, Phrase) else value


def text(message: str, /, **values: Any) -> str:
    """Return ``message`` with ``values`` in its places, in the current language."""
    return shown(phrase(message, **values))


def plural(one: str, many: str, count: int, /, **values: Any) -> str:
    """Return the form for ``count`` things, in the current language."""
    return shown(phrases(one, many, count, **values))
