"""Words of the pages: text in the language of the request, numbers and times as that language writes them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gagrad_runtime.language import current, marked, numbers, shown, translated, translated_plural
from gagrad_runtime.viewer.pages.caution_words import CAUTIONS, OTHER

if TYPE_CHECKING:
    from gagrad_runtime.viewer.pages.caution_words import About

MISSING = "–"
"""What stands where nothing is known."""
_WHERE = (
    (marked("at the upper left"), marked("at the top"), marked("at the upper right")),
    (marked("at the left"), marked("in the middle"), marked("at the right")),
    (marked("at the lower left"), marked("at the bottom"), marked("at the lower right")),
)


def say(message: str, /, **values: Any) -> str:
    """Return ``message`` of the catalogue ``viewer`` in the current language; ``values`` fill its places."""
    written = translated(message, current(), "viewer")
    return written.format(**values) if values else written


def count(one: str, many: str, number: int) -> str:
    """Return the form for ``number`` things; it stands in the place ``{count}``."""
    return translated_plural(one, many, number, current(), "viewer").format(count=whole(number))


def percent(probability: float | None) -> str:
    """Return a probability (0..1) in words; never 0 % or 100 %, which no model can know."""
    return MISSING if probability is None else shown(numbers.percent(probability))


def share(value: float | None) -> str:
    """Return a share (0..1) as a whole number of percent."""
    return MISSING if value is None else numbers.share_text(value)


def whole(number: int) -> str:
    """Return a whole number with its thousands apart; English and Japanese write it alike."""
    return f"{number:,}"


def clock(time: float | None) -> str:
    """Return the time of day of ``time``, in this device's zone: ``14:05:09``."""
    when = moment(time)
    return MISSING if when is None else f"{when:%H:%M:%S}"


def date(time: float | None) -> str:
    """Return the day of ``time`` as the language writes it: ``27 Nov 2026``, ``2026年11月27日``."""
    when = moment(time)
    if when is None:
        return MISSING
    if current() == "ja":
        return f"{when.year}年{when.month}月{when.day}日"
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{when.day} {months[when.month - 1]} {when.year}"


def date_time(time: float | None) -> str:
    """Return day and time of ``time``."""
    when = moment(time)
    return MISSING if when is None else f"{date(time)} {clock(time)}"


def since(seconds: float | None) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    if seconds is None:
        return MISSING
    whole_seconds = max(0, int(seconds))
    if whole_seconds < 60:
        return count("{count} second ago", "{count} seconds ago", whole_seconds)
    if whole_seconds < 3600:
        return count("{count} minute ago", "{count} minutes ago", whole_seconds // 60)
    if whole_seconds < 86400:
        return count("{count} hour ago", "{count} hours ago", whole_seconds // 3600)
    return count("{count} day ago", "{count} days ago", whole_seconds // 86400)


def moment(time: float | None) -> datetime | None:
    """Return ``time``, seconds since 1970, in this device's zone; None for what no calendar has."""
    if time is None:
        return None
    try:
        return datetime.fromtimestamp(time, timezone.utc).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def iso(time: float | None) -> str:
    """Return ``time`` as HTML's ``datetime`` has it."""
    when = moment(time)
    return "" if when is None else when.isoformat()


def where(spot: tuple[float, float], width: int, height: int) -> str:
    """Return in words where ``spot`` (x, y) is on a frame of ``width`` and ``height``."""
    x, y = spot
    row, column = (min(max(int(3 * at / max(size, 1)), 0), 2) for at, size in ((y, height), (x, width)))
    return say(_WHERE[row][column])


def caution(code: str) -> str:
    """Return the caution with ``code`` as a sentence."""
    known = CAUTIONS.get(code)
    return say(OTHER.sentence, code=code) if known is None else say(known.sentence)


def to_do(code: str) -> str:
    """Return what a person does about the caution with ``code``."""
    return say(CAUTIONS.get(code, OTHER).action)


def about(code: str) -> About:
    """Return what the caution with ``code`` is about: the camera, the answer, the map or the run."""
    return CAUTIONS.get(code, OTHER).about
