"""Charts as SVG, made on the server: they need no script, can be printed, and each bar is a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from gagrad_runtime.viewer.pages import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.viewer.values import RcapPoint

_WIDE, _HIGH, _BELOW = 480.0, 80.0, 17.0
"""Units of a bar chart: its width, the height of the highest bar, and the place of the names below."""
_LEAST = 2.0
"""Height of the smallest part of a bar that there is: one NG among a thousand OK must be seen."""


class Bar(NamedTuple):
    """One bar of a chart."""

    name: str
    """What stands below; empty for nothing."""
    title: str
    """What a person or a screen reader is told."""
    address: str
    ng: int
    ok: int
    rest: int
    chosen: bool = False


def bars(title: str, given: Sequence[Bar]) -> Markup:
    """Return a chart of ``given``, NG at the bottom."""
    most = max((one.ng + one.ok + one.rest for one in given), default=0) or 1
    width = _WIDE / max(len(given), 1)
    drawn = [_bar(one, index * width, width, most) for index, one in enumerate(given)]
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="group" aria-label="{}">'
        '<path class="axis" d="M0 80H480"/>{}</svg>'
    ).format(_WIDE, _HIGH + _BELOW, title, Markup().join(drawn))


def _bar(one: Bar, left: float, width: float, most: int) -> Markup:
    parts, top = [], _HIGH
    for kind, number in (("ng", one.ng), ("ok", one.ok), ("rest", one.rest)):
        if number:
            high = max(_LEAST, number / most * (_HIGH - 3 * _LEAST))
            top -= high
            parts.append(
                Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    kind, left + width * 0.12, top, width * 0.76, high
                )
            )
    chosen = Markup('<rect class="chosen" x="{:.1f}" y="{}" width="{:.1f}" height="3"/>').format(
        left, _HIGH, width
    )
    name = Markup('<text x="{:.1f}" y="{}" aria-hidden="true">{}</text>').format(
        left + width / 2, _HIGH + 14, one.name
    )
    return Markup(
        '<a href="{}" aria-label="{}"><title>{}</title>{}{}'
        '<rect class="catch" x="{:.1f}" y="0" width="{:.1f}" height="{}"/></a>{}'
    ).format(
        one.address,
        one.title,
        one.title,
        Markup().join(parts),
        chosen if one.chosen else "",
        left,
        width,
        _HIGH + _BELOW,
        name if one.name else "",
    )


def curve(points: Sequence[RcapPoint]) -> Markup:
    """Return the RCAP curve: the confidence over the share of the map that is kept."""
    known = [
        (one.ratio, one.confidence) for one in points if one.ratio is not None and one.confidence is not None
    ]
    if not known:
        return Markup()
    spots = sorted((40 + 340 * min(max(x, 0), 1), 150 - 130 * min(max(y, 0), 1)) for x, y in known)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    dots = Markup().join(
        Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(*one) for one in spots
    )
    labels = (
        (36, 24, "end", "100 %"),
        (36, 154, "end", "0 %"),
        (40, 168, "start", "0 %"),
        (380, 168, "end", "100 %"),
        (210, 168, "middle", words.say("kept of the map")),
    )
    texts = Markup().join(
        Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, escape(text))
        for x, y, anchor, text in labels
    )
    return Markup(
        '<svg class="curve" viewBox="0 0 400 174" role="img" aria-label="{}">'
        '<path class="axis" d="M40 20V150H380"/><path d="{}"/>{}{}</svg>'
    ).format(words.say("RCAP curve; the table below has its numbers"), path, dots, texts)
