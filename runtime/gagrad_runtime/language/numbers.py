"""A probability or a share as people read it: the only place that writes one."""

from __future__ import annotations

import math

from gagrad_runtime.language.phrase import phrase


def percent(probability: float) -> str:
    """Return ``probability`` (0..1) in words, e.g. ``97.3 %``; never 0 % or 100 %, which no model can know.

    The only place that writes a probability: picture, command line and ``repr`` call this.
    """
    if not math.isfinite(probability):
        return phrase("no probability (not a number)")
    if probability < 0.001:
        return phrase("under 0.1 %")
    return phrase("over 99.9 %") if probability > 0.999 else f"{probability * 100:.1f} %"


def share_text(share: float) -> str:
    """Return a share of a map or of an image (0..1) in words, as a whole number: ``79 %``.

    The only place that writes a share: picture, command line and ``repr`` call this.
    """
    return f"{share * 100:.0f} %"


def rate_text(rate: float) -> str:
    """Return how often something is so among many (0..1), or a mean of such values: ``4.3 %``; NaN is a dash.

    Unlike ``percent`` it may be 0 % or 100 %: it was counted.
    """
    return "–" if math.isnan(rate) else f"{rate * 100:.1f} %"


def points_text(difference: float) -> str:
    """Return the difference of two rates (-1..1) in percentage points, no unit: ``+1.3``, ``−0.2``."""
    if math.isnan(difference):
        return "–"
    points = round(difference * 100, 1)
    return f"{points:+.1f}".replace("-", "−") if points else "0.0"


def agreement_text(share: float) -> str:
    """Return which share of pixels agree (0..1), rounded down to a tenth: ``99.5 %``; ``100 %`` only for all.

    Rounded down, so that a share below what is required does not read like it.
    """
    tenths = math.floor(round(share * 1000, 6))  # 0.995 is a little less than 995 thousandths
    return "100 %" if tenths == 1000 else f"{tenths / 10:.1f} %"
