"""Which language people read: chosen for the process, or for one request of a server."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, cast, get_args

from gagrad_edge.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

Language = Literal["en", "ja"]

LANGUAGES: dict[Language, str] = {"en": "English", "ja": "日本語"}
"""The languages, each by its own name."""
VARIABLE = "GAGRAD_EDGE_LANG"
"""Environment variable that names the language where nothing else does."""

_request: ContextVar[Language | None] = ContextVar("gagrad_edge_language", default=None)
_process: list[Language] = []
"""The language of the process; empty until it is chosen or read from the environment."""


def current() -> Language:
    """Return the language of this request, else of the process, else of the environment: English without one.

    Raises SettingError where the environment names a language that there is not.
    """
    asked = _request.get()
    if asked is not None:
        return asked
    if not _process:
        choose(os.environ.get(VARIABLE) or "en", where=VARIABLE)
    return _process[0]


def choose(name: str, *, where: str = "language") -> None:
    """Make ``name`` the language of the process. Raises SettingError for one that there is not."""
    _process[:] = [_known(name, where)]


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Use the language ``name`` within the block, in this thread or task alone."""
    token = _request.set(_known(name, "language"))
    try:
        yield
    finally:
        _request.reset(token)


def accepted(header: str) -> Language | None:
    """Return the language of ours that an ``Accept-Language`` header likes most; None without any."""
    liked: list[tuple[float, Language]] = []
    for part in header[:1000].split(","):
        name, _, parameter = part.strip().partition(";")
        language = name.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if language in get_args(Language) and weight > 0:
            liked.append((weight, cast("Language", language)))
    return max(liked, key=lambda one: one[0])[1] if liked else None


def _weight(parameter: str) -> float:
    """Return the weight that ``parameter`` (``q=0.8``) gives, 0..1; 1 without one, 0 for what is none."""
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip() == "q" and 0 <= weight <= 1 else 0.0


def _known(name: str, where: str) -> Language:
    if name not in get_args(Language):
        raise SettingError(
            f"there is no language {name!r}",
            where=where,
            hint="choose one of those below",
            choices=get_args(Language),
        )
    return cast("Language", name)
