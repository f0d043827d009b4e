"""A colour scale fixed by good parts, so that a good part looks calm and what stands out stands out.

Scaled by itself, every map has a brightest place, also that of a good part (anomalib #3085). ``calibrate``
measures what good parts' maps reach, and ``explain --scale`` colours by that: half of the scale is the most
that good parts show, the top is twice as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_runtime.explanation.regions import soften
from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.report.colour import Scale

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

QUANTILE = 0.999
"""Of the values of all good parts together. The largest value is one pixel's luck and grows with every part
added; a lower quantile is that of the plain surface, which says nothing of the brightest places."""

HEADROOM = 2.0
"""The top of the scale, in units of what good parts reach: good parts then stay in its lower half."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What was explained and how: maps of different questions have different sizes of values."""

    method: str
    guide: str
    percentile: float | None
    """Of the guide; null for a method without one."""
    noise_std: float | None
    """Null for a method without noise."""
    baseline: float | None
    """Of integrated gradients; null for the others."""
    perturbation: str
    target: str | None
    """Class that was asked about; null for what the model says by itself."""
    against: str | None


class GoodScale(msgspec.Struct, frozen=True, kw_only=True):
    """The file ``NAME.scale.json``."""

    schema: Literal[1] = 1
    bundle: str
    bundle_sha256: Sha256
    question: Question
    samples: int
    """Copies per image; another number may be used, as the values are those of one copy."""
    images: Annotated[int, msgspec.Meta(ge=1)]
    quantile: float
    value: Annotated[float, msgspec.Meta(gt=0)]
    """The quantile of the softened raw maps."""

    def check(self, explanation: Explanation, baseline: float | None = None) -> None:
        """Raise SettingError unless the scale was made for what made ``explanation``."""
        made = explanation.provenance
        if made.bundle_sha256 != self.bundle_sha256:
            raise SettingError(
                f"the scale was made with another bundle ({self.bundle}, {self.bundle_sha256[:12]}...)",
                where="--scale",
                hint="calibrate again with this bundle: gagrad-edge calibrate BUNDLE OK_IMAGES... -o FILE",
            )
        named = self.question.target is not None
        asked = question(explanation, named=named, baseline=baseline)
        for field in Question.__struct_fields__:
            of_scale, here = getattr(self.question, field), getattr(asked, field)
            if of_scale != here:
                theirs, ours = ("none" if value in (None, "") else value for value in (of_scale, here))
                raise SettingError(
                    f"the scale was made for {field} {theirs}, and this map for {ours}",
                    where="--scale",
                    hint=f"calibrate again with the same {field}, or explain with the scale's",
                )

    def colours(self, softened: float) -> Scale:
        """Return how raw values become colours; ``softened`` is what ``soften`` returned."""
        return Scale(HEADROOM * self.value, softened, good_parts=self.images)


def question(explanation: Explanation, *, named: bool, baseline: float | None = None) -> Question:
    """Return what ``explanation`` answers; ``named`` says that its class was asked for by name."""
    made, target = explanation.provenance, explanation.target
    method = METHODS[made.method]
    if target.region is not None:
        raise SettingError(
            "a scale is for the whole output", where="--region", hint="leave --scale or --region out"
        )
    return Question(
        method=made.method,
        guide=made.guide,
        percentile=made.percentile if method.map == "guided" else None,
        noise_std=made.noise_std if method.copies == "noisy" else None,
        baseline=(baseline or 0.0) if method.copies == "path" else None,
        perturbation=made.perturbation,
        target=target.name if named else None,
        against=target.against_name,
    )


def raw_map(explanation: Explanation) -> tuple[NDArray[np.float32], float]:
    """Return the map [H, W] softened as it is drawn, in raw values, and the blur's standard deviation."""
    low, high = (np.float32(value) for value in explanation.raw)
    softened, sigma = soften(explanation.saliency)
    return low + softened * (high - low), sigma


def read_scale(path: Path) -> GoodScale:
    """Return the scale in the file ``path``. Raises SettingError."""
    hint = "write it with: gagrad-edge calibrate BUNDLE OK_IMAGES... -o FILE"
    try:
        return msgspec.json.decode(path.read_bytes(), type=GoodScale)
    except OSError as error:
        raise SettingError(
            f"the scale cannot be read ({error.strerror})", where=str(path), hint=hint
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the file is no scale: {error}", where=str(path), hint=hint) from error


def write_scale(path: Path, scale: GoodScale) -> None:
    """Write ``scale`` to ``path``. Raises OutputError."""
    write_atomic(path, [msgspec.json.format(msgspec.json.encode(scale), indent=2), b"\n"])
