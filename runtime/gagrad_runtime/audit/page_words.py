"""Words of the report's page, in the current language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.audit.drift import RISK
from gagrad_runtime.audit.findings import EVERYWHERE, NOWHERE
from gagrad_runtime.language import current, text
from gagrad_runtime.language.numbers import points_text, rate_text, share_text
from gagrad_runtime.report.html_page import escape, font, style

if TYPE_CHECKING:
    from gagrad_runtime.audit.findings import Cell


def words() -> dict[str, str]:
    """Return the texts of the page's template by their names there."""
    plain = {
        "w_changed": text("What changed"),
        "w_changed_says": text(
            "Weeks that differ from the reference period by more than its days differ among themselves. A "
            "day counts as one observation, as parts of one day are alike. Where nothing changed, about "
            "{risk} of all reports have an entry here.",
            risk=share_text(RISK),
        ),
        "w_maps": text("Where the model looks"),
        "w_maps_say": text("Mean of the explained images' maps, over what the model sees of the frame."),
        "w_weeks": text("Week by week"),
        "w_weeks_say": text(
            "Click a number: it opens ten images. They are NG parts, those with the lowest values, or those "
            "of the commonest place. In grey: the difference from the reference period in percentage points, "
            "as a 95 % interval by days. Of the places, some lie elsewhere by chance alone. ▲ is an entry of "
            "the list above."
        ),
        "w_distributions": text("Distributions"),
        "w_distributions_say": text(
            "How many parts have each value, in the reference period and after it. Click a number: it opens "
            "the last ten images. In grey: the difference in percentage points, as a 95 % interval by days."
        ),
        "w_copies": text("Duplicates"),
        "w_copies_say": text(
            "Images that come twice are no independent evidence, and in training data they hide errors."
        ),
        "w_errors": text("Images without an answer"),
        "w_least": text("not at all"),
        "w_most": text("most"),
    }
    return {
        "language": current(),
        "style": style(),
        "font": font(),
        **{name: escape(word) for name, word in plain.items()},
    }


def sentence(cell: Cell) -> str:
    """Return what changed in a week, in words."""
    comparison, title = cell.comparison, text(cell.quantity.title)
    several = cell.quantity.classes > 1
    between = interval(comparison.low, comparison.high, signed=not several)
    if several:
        return text(
            "{title}: {share} lie elsewhere ({interval} points)",
            title=title,
            share=rate_text(comparison.difference),
            interval=between,
        )
    return text(
        "{title}: {after} instead of {before} ({interval} points)",
        title=title,
        after=rate_text(float(comparison.after[0])),
        before=rate_text(float(comparison.before[0])),
        interval=between,
    )


def scope_name(scope: str) -> str:
    """Return a station's name, or what stands for all or for none."""
    return text(scope) if scope in (EVERYWHERE, NOWHERE) else scope


def interval(low: float, high: float, *, signed: bool = True) -> str:
    """Return an interval of differences in percentage points; nothing where it is not known.

    The share that lies elsewhere has no sign.
    """
    if np.isnan(low):
        return ""
    ends = [points_text(end) if signed else points_text(end).lstrip("+") for end in (low, high)]
    return text("{low} to {high}", low=ends[0], high=ends[1])
