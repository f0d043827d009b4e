"""From a trial to a forecast: how long an audit takes, how large its table gets, what a budget allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gagrad_edge.errors import SettingError
from gagrad_edge.summary import counted
from gagrad_runtime.language.numbers import percent, share_text

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
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def lines(trial: Trial, asked: Asked, images: int, shards: int, workers: int) -> list[str]:
    """Return the plan in lines for people."""
    share, megabytes = explained_share(trial, asked), size(trial, asked, images) / 1e6
    milliseconds = (1e3 * trial.look_seconds, 1e3 * trial.explain_seconds)
    tried = f"of {trial.images} tried: {trial.broken} broken, {trial.marked} NG, unsure or with a caution"
    chosen = (
        "every marked one"
        if asked.share == 1
        else f"{share_text(asked.share)} of the marked, as the budget allows"
    )
    rest = f", and 1 in {asked.one_in} of the rest" if asked.one_in else ""
    took = in_words(duration(trial, asked, images, workers))
    return [
        f"{counted(images, 'image')} in {counted(shards, 'shard')}, {counted(workers, 'worker')}",
        f"{tried}; {milliseconds[0]:.0f} ms for an answer, {milliseconds[1]:.0f} ms for a map",
        f"{percent(share)} are explained: {chosen}{rest}",
        f"it takes about {took} and at most {megabytes:,.1f} MB",
    ]
