"""Names of statistics for people; files and records have them in English."""

from __future__ import annotations

from gagrad_runtime.language import marked, phrase

NAMES = (
    marked("brightness"),
    marked("contrast"),
    marked("sharpness"),
    marked("margin"),
    marked("spread of the scores"),
    marked("value"),
    marked("confidence"),
    marked("red"),
    marked("green"),
    marked("blue"),
)
"""Statistics of frames and answers, and the colours among their names."""
_SHARE = "share of "


def statistic_name(name: str) -> str:
    """Return the ``name`` of a statistic, to be shown in another language too."""
    if name.startswith(_SHARE):
        return phrase("share of {colour}", colour=statistic_name(name[len(_SHARE) :]))
    return phrase(name) if name in NAMES else name
