"""Scale of good parts: the map value that good parts reach, for one method and target.

Scaled by itself, every map has a brightest place, that of a good part too (anomalib #3085). ``calibrate``
measures the value that good parts' maps reach, and a report with that scale colours by the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_runtime.explanation.places import soften
from gagrad_runtime.question.methods import METHODS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

QUANTILE = 0.999
"""Quantile of the map values of all good parts together. The largest value is chance and grows with every
part; a lower quantile describes the plain surface, not the brightest places."""


class ScaleKey(msgspec.Struct, frozen=True, kw_only=True):
    """Target and settings that a scale is for: raw values of maps with other keys cannot be compared."""

    method: str
    """Name of the method."""
    guide: str
    """Name of the guide."""
    percentile: float | None
    """Of the guide; null for a method without one."""
    noise_std: float | None
    """Null for a method without noise."""
    baseline: float | None
    """Of integrated gradients; null for the others."""
    perturbation: str
    """What the copies were changed by beside noise; empty for nothing."""
    good_image: bool
    """Whether the maps compare with the image of good parts."""
    target: str | None
    """Class that was asked for; null for what the model says by itself."""
    against: str | None
    """The other class of a difference; null for none."""


class GoodScale(msgspec.Struct, frozen=True, kw_only=True):
    """Scale of good parts: what their maps reach."""

    bundle: str
    """Name of the bundle that explained the good parts."""
    bundle_sha256: Sha256
    """SHA-256 of the bundle's bytes; a scale fits this bundle only."""
    key: ScaleKey = msgspec.field(name="question")
    """Target and settings of the good parts' maps; named ``question`` in the file."""
    samples: int
    """Samples per image; maps of another number can be compared, as raw values are per sample."""
    images: Annotated[int, msgspec.Meta(ge=1)]
    """Number of good parts."""
    quantile: float
    """Quantile of the good parts' map values that ``value`` is, 0..1."""
    value: Annotated[float, msgspec.Meta(gt=0)]
    """Raw map value, after softening as on the picture, at that quantile."""

    def check(self, explanation: Explanation) -> None:
        """Raise SettingError unless bundle, method and target of ``explanation`` are the scale's."""
        made = explanation.provenance
        if made.bundle_sha256 != self.bundle_sha256:
            raise SettingError(
                f"the scale was made with another bundle ({self.bundle}, {self.bundle_sha256[:12]}...)",
                where="scale",
                hint="calibrate again with this bundle: gagrad-edge calibrate BUNDLE OK_IMAGES...",
            )
        if (reason := self.refusal(explanation)) is not None:
            field, of_scale, here = reason
            raise SettingError(
                f"the scale was made for {field} {of_scale}, and this map for {here}",
                where="scale",
                hint=f"calibrate again with the same {field}, or explain with the scale's",
            )

    def fits(self, explanation: Explanation) -> bool:
        """Return whether the maps of ``explanation`` and of the good parts can be compared."""
        same = explanation.provenance.bundle_sha256 == self.bundle_sha256
        return same and explanation.target.region is None and self.refusal(explanation) is None

    def refusal(self, explanation: Explanation) -> tuple[str, object, object] | None:
        """Return the first field in which ``explanation`` differs, with both values; None where none does."""
        asked = scale_key(explanation, named=self.key.target is not None)
        for field in ScaleKey.__struct_fields__:
            of_scale, here = getattr(self.key, field), getattr(asked, field)
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
