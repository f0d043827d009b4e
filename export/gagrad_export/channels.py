"""Channels that are no colours: how many an image has, their names, and which of them pictures show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_edge.input import MAX_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence


def channel_count(channels: int | Sequence[str] | None) -> int | None:
    """Return how many ``channels`` there are, given as a number or by their names; None for None.

    Raises SettingError.
    """
    if channels is None:
        return None
    names = channel_names(channels)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not all(names):
        raise SettingError(
            f"channel names occur twice: {', '.join(repeated)}" if repeated else "a channel has no name",
            where="channels",
            hint="give each channel a name of its own, or their number alone",
        )
    if not 1 <= len(names) <= MAX_CHANNELS:
        raise SettingError(f"an image has 1 to {MAX_CHANNELS} channels, not {len(names)}", where="channels")
    return len(names)


def channel_names(channels: int | Sequence[str]) -> list[str]:
    """Return the names of ``channels``; where only their number is given, they are counted from 1."""
    if isinstance(channels, int):
        return [str(number) for number in range(1, min(channels, MAX_CHANNELS + 1) + 1)]
    return list(channels)


def shown_channels(names: Sequence[str], shown: Sequence[str] | None) -> list[int]:
    """Return the indices of the channels that pictures show; None is the first. Raises SettingError."""
    if shown is None:
        return [0]
    unknown = [name for name in shown if name not in names]
    if unknown:
        raise SettingError(f"there is no channel {unknown[0]!r}", where="shown", choices=names)
    if len(shown) not in (1, 3):
        raise SettingError(
            f"a picture shows one channel as grey or three as red, green and blue, not {len(shown)}",
            where="shown",
            choices=names,
        )
    return [names.index(name) for name in shown]


def read_channels(text: str) -> int | list[str]:
    """Return what ``6`` or ``top,left,right`` says: a number, or names."""
    return int(text) if text.isdecimal() else [name.strip() for name in text.split(",")]
