"""Catalogues of translations: GNU gettext's .mo files, read when a language other than English is asked for.

There is one for each domain: ``floor`` for pictures, cautions, summaries and the kit, ``viewer`` for pages.
A text that a catalogue lacks is shown in English; a test keeps the catalogues complete.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gettext import NullTranslations

    from gagrad_runtime.language.choice import Language

Domain = Literal["floor", "viewer"]


def translated(message: str, language: Language, domain: Domain = "floor") -> str:
    """Return ``message`` in ``language``, its places for values not yet filled."""
    # The empty text is the key of the catalogue's own head.
    return message if language == "en" or not message else _catalogue(language, domain).gettext(message)


def translated_plural(one: str, many: str, count: int, language: Language, domain: Domain = "floor") -> str:
    """Return the form of ``one`` and ``many`` for ``count`` things in ``language``."""
    if language == "en":
        return one if count == 1 else many
    return _catalogue(language, domain).ngettext(one, many, count)


@functools.cache
def _catalogue(language: Language, domain: Domain) -> NullTranslations:
    from gettext import GNUTranslations  # noqa: PLC0415 - English needs none

    path = resources.files("gagrad_runtime.language") / "catalogues" / language / f"{domain}.mo"
    with path.open("rb") as file:
        return GNUTranslations(file)
