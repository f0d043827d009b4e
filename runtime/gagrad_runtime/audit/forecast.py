"""From a trial to a forecast: how long an audit takes, how large its table gets, what a budget allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gagrad_edge.errors import SettingError
from gagrad_runtime.language import phrase, plural, shown, text
from gagrad_runtime.language.numbers import rate_text, share_text

if TYPE_CHECKING:
    from gagrad_runtime.audit.plan import Asked
    from gagrad_runtime.audit.trial import Trial

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """Return the seconds of a budget such as ``8h``, ``90m`` or ``1.5d``. Raises SettingError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)\s*", text)
    if found is None or float(found[1]) <= 0:
        raise SettingError(f"{text!r} is no time", where="budget", hint="write it as 90m, 8h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def explained_share(trial: Trial, asked: Asked) -> float:
    """Return the share of all images that will be explained, 0..1."""
    marked = trial.marked / max(trial.images, 1)
    chance = 1 / asked.one_in if asked.one_in else 0.0
    return marked * (asked.share + (1 - asked.share) * chance) + (1 - marked) * chance


def duration(trial: Trial, asked: Asked, images: int, workers: int) -> float:
    """Return the seconds that the audit will take."""
    each = trial.look_seconds + explained_share(trial, asked) * trial.explain_seconds
    return images * each / workers


def size(trial: Trial, asked: Asked, images: int) -> float:
    """Return the bytes of the table, at most: it is compressed."""
    share = explained_share(trial, asked)
    return images * ((1 - share) * trial.row_bytes + share * max(trial.explained_bytes, trial.row_bytes))


def within(budget: float, trial: Trial, asked: Asked, images: int, workers: int) -> Asked:
    """Return ``asked`` with as large a share of the marked images as ``budget`` seconds leave time for.

    Raises SettingError where the answers alone take longer.
    """
    if duration(trial, asked, images, workers) <= budget:
        return asked
    least = duration(trial, replace(asked, share=0.0), images, workers)
    if least > budget:
        raise SettingError(
            f"the answers alone, and one explanation in {asked.one_in}, take about {in_words(least)}",
            where="budget",
            hint=f"give {in_words(least)} or more, more workers, or fewer images",
        )
    most = duration(trial, replace(asked, share=1.0), images, workers)
    return replace(asked, share=round((budget - least) / (most - least), 4))


def in_words(seconds: float) -> str:
    """Return a time for people: ``40 s``, ``12 min``, ``3 h 40 min``, ``2 d 5 h``."""
    if seconds < 60:
        return phrase("{seconds} s", seconds=f"{max(seconds, 1):.0f}")
    minutes = round(seconds / 60)
    if minutes < 60:
        return phrase("{minutes} min", minutes=minutes)
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return phrase("{hours} h {minutes} min", hours=hours, minutes=rest)
    return phrase("{days} d {hours} h", days=hours // 24, hours=hours % 24)


def lines(trial: Trial, asked: Asked, images: int, shards: int, workers: int) -> list[str]:
    """Return the plan in lines for people, in the current language."""
    share, megabytes = explained_share(trial, asked), size(trial, asked, images) / 1e6
    crew = plural("{count} worker", "{count} workers", workers)
    number = plural("{images} image", "{images} images", images, images=f"{images:,}")
    parts = plural("{count} shard", "{count} shards", shards)
    marked_ones = text("every marked one")
    if asked.share < 1:
        marked_ones = text("{share} of the marked, as the budget allows", share=share_text(asked.share))
    chosen = {"share": rate_text(share), "marked": marked_ones, "one_in": f"{asked.one_in:,}"}
    explained = text("{share} are explained: {marked}, and 1 in {one_in} of the rest", **chosen)
    if not asked.one_in:
        explained = text("{share} are explained: {marked}", share=chosen["share"], marked=marked_ones)
    return [
        text("{images} in {shards}, {workers}", images=number, shards=parts, workers=crew),
        text(
            "of {count} tried: {broken} broken, {marked} NG, unsure or with a caution; {look} ms for an "
            "answer, {explain} ms for a map",
            count=trial.images,
            broken=trial.broken,
            marked=trial.marked,
            look=f"{1e3 * trial.look_seconds:.0f}",
            explain=f"{1e3 * trial.explain_seconds:.0f}",
        ),
        explained,
        text(
            "it takes about {time} and at most {size} MB",
            time=shown(in_words(duration(trial, asked, images, workers))),
            size=f"{megabytes:,.1f}",
        ),
    ]
