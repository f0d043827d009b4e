"""Names of output regions for people; the record has them in English, as the answer makes them."""

from __future__ import annotations

from gagrad_runtime.language import marked, text

NAMES = (marked("above the threshold"), marked("where it comes closest"), marked("where it is predicted"))
"""Regions that the model's own answer chooses, beside a numbered area."""


def region_name(name: str) -> str:
    """Return the ``name`` of a region in the current language; that of a caller's mask as it is."""
    start, _, number = name.partition(" ")
    count, of, total = number.partition(" of ")
    if start != "area" or not count.isdecimal():
        return text(name) if name in NAMES else name
    if of:
        return text("area {number} of {total}", number=count, total=total)
    return text("area {number}", number=count)
