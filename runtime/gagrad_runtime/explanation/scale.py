"""Scale of good parts: the map value that good parts reach, for one method and target.

Scaled by itself, every map has a brightest place, that of a good part too (anomalib #3085). ``calibrate``
measures the value that good parts' maps reach, and a report with that scale colours by the value.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec resolves the fields' types

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
