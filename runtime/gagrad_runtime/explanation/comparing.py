"""Which explanations the scale of good parts is for, and the values that are compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_runtime.explanation.places import soften
from gagrad_runtime.explanation.scale import GoodScale, ScaleKey
from gagrad_runtime.question.methods import METHODS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation


def check_scale(scale: GoodScale, explanation: Explanation) -> None:
    """Raise SettingError unless bundle, method and target of ``explanation`` are those of ``scale``."""
    if explanation.provenance.bundle_sha256 != scale.bundle_sha256:
        raise SettingError(
            f"the scale was made with another bundle ({scale.bundle}, {scale.bundle_sha256[:12]}...)",
            where="scale",
            hint="calibrate again with this bundle: gagrad-edge calibrate BUNDLE OK_IMAGES...",
        )
    if (found := disagreement(scale, explanation)) is not None:
        field, of_scale, here = found
        raise SettingError(
            f"the scale was made for {field} {of_scale}, and this map for {here}",
            where="scale",
            hint=f"calibrate again with the same {field}, or explain with the scale's",
        )


def fits(scale: GoodScale, explanation: Explanation) -> bool:
    """Return whether the map of ``explanation`` can be compared with ``scale``."""
    same = explanation.provenance.bundle_sha256 == scale.bundle_sha256
    return same and explanation.target.region is None and disagreement(scale, explanation) is None


def disagreement(scale: GoodScale, explanation: Explanation) -> tuple[str, object, object] | None:
    """Return the first field in which ``explanation`` differs, with both values; None where none does."""
    asked = scale_key(explanation, named=scale.key.target is not None)
    for field in ScaleKey.__struct_fields__:
        of_scale, here = getattr(scale.key, field), getattr(asked, field)
        if of_scale != here:
            theirs, ours = ("none" if value in (None, "") else value for value in (of_scale, here))
            return field, theirs, ours
    return None


def scale_key(explanation: Explanation, *, named: bool) -> ScaleKey:
    """Return the key of ``explanation``; ``named`` says that its class was asked for by name."""
    made, target = explanation.provenance, explanation.target
    method = METHODS[made.method]
    if target.region is not None:
        if target.region.found:
            raise SettingError(
                "what is explained is an area of another size on each part, so its maps have no common scale",
                where="scale",
                hint="explain areas without a scale",
            )
        raise SettingError(
            "a scale is for the whole output", where="region", hint="leave the scale or the region out"
        )
    return ScaleKey(
        method=made.method,
        guide=made.guide,
        percentile=made.percentile if method.map == "guided" else None,
        noise_std=made.noise_std if method.samples_at == "noisy" else None,
        baseline=made.baseline,
        perturbation=made.perturbation,
        good_image=made.good_image,
        target=target.name if named else None,
        against=target.against_name,
    )


def raw_map(explanation: Explanation) -> tuple[NDArray[np.float32], float]:
    """Return the map [H, W] softened as it is drawn, in raw values, and the blur's standard deviation."""
    low, high = (np.float32(value) for value in explanation.raw)
    softened, sigma = soften(explanation.saliency)
    return low + softened * (high - low), sigma
