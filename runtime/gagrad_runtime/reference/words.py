"""What calibration found, in words for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.summary import counted
from gagrad_runtime.question.probability import percent
from gagrad_runtime.reference.limits import FEWEST
from gagrad_runtime.reference.motion import Motion

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
    of = "" if used == images else f"{used} of "
    lines = [
        f"{of}{counted(images, 'good part')} → {output}",
        f"  {_layout(parts, layout)}",
    ]
    noise = reference.noise
    if noise is not None:
        lines.append(
            f"  noise {noise.noise_std:g}: {percent(noise.kept)} of the noisy copies keep their answer"
        )
    if reference.scale is not None:
        lines.append(f"  their maps reach {reference.scale.value:.3g}: the middle of the colours")
    if reference.threshold is not None:
        lines.append(
            f"  their scores: from {reference.threshold:.4g} on a part is NG, where the bundle has no limit"
        )
    lines += [f"  ! {line}" for line in _doubts(reference, parts, layout)]
    if used < FEWEST:
        lines.append(f"  ! too few parts to know what is usual: give {FEW} or more")
    elif used < FEW:
        lines.append(f"  ! few parts, so the limits are wide: {FEW} or more are better")
    return lines


def _layout(parts: GoodParts, layout: Layout | None) -> str:
    """Return whether the parts lie in the same place, and what follows from that."""
    if layout is None:
        return f"{parts.why}: differences to a good part are not used"
    _, _, height, width = next(iter(parts.windows))
    side = max(height, width)
    exact = max(math.ceil(2 * layout.error * side) / 2, 0.5)
    motions = [motion for motion in layout.motions if motion is not None]
    apart = [motion.distance(Motion(), (height, width)) for motion in motions]
    turns = [abs(math.degrees(motion.turn)) for motion in motions]
    how = "they lie still"
    if layout.template.freedom != "nothing":
        how = f"they lie up to {max(apart):.0f} pixels"
        how += f" and {max(turns):.1f}°" if max(turns) >= 0.1 else ""
        how += " apart"
    pixels = counted(int(exact), "pixel") if exact == int(exact) else f"{exact:g} pixels"
    return f"{how}, and are brought together to {pixels}: differences to a good part are used"


def _doubts(reference: Reference, parts: GoodParts, layout: Layout | None) -> list[str]:
    """Return what speaks against these parts or this bundle."""
    verdicts = reference.content.answers.verdicts
    found = []
    if (wrong := parts.good.count(False)) and wrong > _NOT_GOOD * len(parts.good):
        found.append(
            f"the model does not say good of {wrong} of these {len(parts.good)} parts: are they good, and is "
            "the bundle exported with the right size, colours, mean and std? `check` finds out"
        )
    elif len(verdicts) > 1:
        ordered = sorted(verdicts.items(), key=lambda one: -one[1])
        said = ", ".join(f"{count} {name}" for name, count in ordered)
        found.append(f"the model says different things of good parts: {said}")
    for source, motion in zip(parts.names, layout.motions if layout else (), strict=False):
        if motion is None:
            found.append(f"does not look or lie as the others do: {source}")
    for name, values in parts.series().items():
        outside = np.flatnonzero(~parts.usual(name, values))
        if len(outside) and len(outside) <= 3:
            named = ", ".join(parts.sources[index] for index in outside)
            found.append(f"unlike the other parts in {name}: {named}")
    found += dict.fromkeys(one for statistics in parts.statistics for one in statistics.doubts())
    return found[:8]
