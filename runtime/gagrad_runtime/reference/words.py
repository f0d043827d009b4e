"""What calibration found, in words for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.language import listed, phrase, plural, shown, text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.reference.limits import FEWEST
from gagrad_runtime.reference.motion import Motion
from gagrad_runtime.reference.statistic_names import statistic_name

if TYPE_CHECKING:
    from gagrad_runtime.reference.layout import Layout
    from gagrad_runtime.reference.making import GoodParts
    from gagrad_runtime.reference.reference import Reference

_NOT_GOOD = 0.2
"""Share of the good parts that the model may call something else without a doubt about the bundle."""
FEW = 10
"""With fewer good parts the limits depend on these parts more than on the line."""


def found_lines(
    reference: Reference, parts: GoodParts, layout: Layout | None, images: int, output: str
) -> list[str]:
    """Return what is known of good parts, a line for each thing; ``output`` is the file's name."""
    used = reference.parts
    counted = plural("{count} good part", "{count} good parts", images)
    if used != images:
        counted = text("{used} of {counted}", used=used, counted=counted)
    found = [_layout(parts, layout)]
    noise = reference.noise
    if noise is not None:
        found.append(
            text(
                "noise {noise}: {share} of the noisy copies keep their answer",
                noise=f"{noise.noise_std:g}",
                share=percent(noise.kept),
            )
        )
    if reference.scale is not None:
        reached = f"{reference.scale.value:.3g}"
        found.append(text("their maps reach {value}: the middle of the colours", value=reached))
    if reference.threshold is not None:
        limit = f"{reference.threshold:.4g}"
        found.append(
            text("their scores: from {limit} on a part is NG, where the bundle has no limit", limit=limit)
        )
    doubts = [shown(one) for one in _doubts(reference, parts, layout)]
    if used < FEWEST:
        doubts.append(text("too few parts to know what is usual: give {count} or more", count=FEW))
    elif used < FEW:
        doubts.append(text("few parts, so the limits are wide: {count} or more are better", count=FEW))
    return [
        f"{counted} → {output}",
        *(f"  {line}" for line in found),
        *(f"  ! {line}" for line in doubts),
    ]


def _layout(parts: GoodParts, layout: Layout | None) -> str:
    """Return whether the parts lie in the same place, and what follows from that."""
    if layout is None:
        return text("{why}: differences to a good part are not used", why=parts.why)
    _, _, height, width = next(iter(parts.windows))
    side = max(height, width)
    exact = max(math.ceil(2 * layout.error * side) / 2, 0.5)
    motions = [motion for motion in layout.motions if motion is not None]
    apart = [motion.distance(Motion(), (height, width)) for motion in motions]
    turns = [abs(math.degrees(motion.turn)) for motion in motions]
    how = text("they lie still")
    if layout.template.freedom != "nothing":
        far, turned = f"{max(apart):.0f}", f"{max(turns):.1f}"
        how = text("they lie up to {pixels} pixels apart", pixels=far)
        if max(turns) >= 0.1:
            how = text("they lie up to {pixels} pixels and {degrees}° apart", pixels=far, degrees=turned)
    pixels = text("{count} pixels", count=f"{exact:g}")
    if exact == int(exact):
        pixels = plural("{count} pixel", "{count} pixels", int(exact))
    return text(
        "{how}, and are brought together to {pixels}: differences to a good part are used",
        how=how,
        pixels=pixels,
    )


def _doubts(reference: Reference, parts: GoodParts, layout: Layout | None) -> list[str]:
    """Return what speaks against these parts or this bundle."""
    verdicts = reference.content.answers.verdicts
    found: list[str] = []
    if (wrong := parts.good.count(False)) and wrong > _NOT_GOOD * len(parts.good):
        found.append(
            phrase(
                "the model does not say good of {wrong} of these {count} parts: are they good, and is "
                "the bundle exported with the right size, colours, mean and std? `check` finds out",
                wrong=wrong,
                count=len(parts.good),
            )
        )
    elif len(verdicts) > 1:
        ordered = sorted(verdicts.items(), key=lambda one: -one[1])
        said = listed([phrase("{count} {name}", count=count, name=name) for name, count in ordered])
        found.append(phrase("the model says different things of good parts: {said}", said=said))
    for source, motion in zip(parts.names, layout.motions if layout else (), strict=False):
        if motion is None:
            found.append(phrase("does not look or lie as the others do: {source}", source=source))
    for name, values in parts.series().items():
        outside = np.flatnonzero(~parts.usual(name, values))
        if len(outside) and len(outside) <= 3:
            named = ", ".join(parts.sources[index] for index in outside)
            measured = statistic_name(name)
            found.append(phrase("unlike the other parts in {name}: {parts}", name=measured, parts=named))
    found += dict.fromkeys(one for statistics in parts.statistics for one in statistics.doubts())
    return found[:8]
