"""The schema of ``reference.json``, the member of a ``.good`` file that describes all the others."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gagrad_edge.manifest import NoiseLevel, Sha256  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.schema import Positive, Strict
from gagrad_runtime.explanation.scale import GoodScale  # noqa: TC001 - as above
from gagrad_runtime.reference.registration import Freedom  # noqa: TC001 - as above

SCHEMA = 1
"""Version of the file that this package writes and reads."""
Limits = tuple[float | None, float | None]
"""Lowest and highest usual value; null for no limit on that side."""


class FrameHabits(Strict, frozen=True):
    """What the frames of good parts were like."""

    sizes: list[tuple[Positive, Positive]]
    """Height and width of the frames; empty when there were too many sizes to say."""
    channels: list[Positive]
    """Numbers of channels of the frames."""
    bits: tuple[Positive, Positive]
    """Least and most bits that the values used."""
    limits: dict[str, Limits]
    """Of the statistics of ``reference.statistics``."""


class AnswerHabits(Strict, frozen=True):
    """What the model said of good parts."""

    verdicts: dict[str, Positive]
    """How many good parts had each answer; empty for a model whose answers are values."""
    found: dict[str, Positive]
    """On how many good parts the model found each class."""
    limits: dict[str, Limits]
    """Of the statistics of ``reference.answers``."""


class LayoutContent(Strict, frozen=True):
    """How good parts lie."""

    window: tuple[int, int, Positive, Positive]
    """Where the frame is in the model's image: top, left, height, width."""
    freedom: Freedom
    """What differs between how parts lie."""
    error: Annotated[float, msgspec.Meta(ge=0)]
    """How exactly a part's place is known, as a share of the longer side."""
    least: float
    """Smallest correlation with the template at which a part fits."""
    classes: list[Annotated[int, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=list)
    """Elements of the output whose gradients are in ``gradients.npy``, in its order."""
    levels: list[Annotated[float, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=list)
    """What the values of each of them are multiplied by."""


class ArrayEntry(Strict, frozen=True):
    """One array of the file."""

    shape: list[Positive]
    dtype: Literal["<f2", "|u1"]
    sha256: Sha256
    """Of the member's bytes."""


class Content(Strict, frozen=True, kw_only=True):
    """``reference.json``."""

    schema: Literal[1] = 1
    bundle: str
    """Name of the bundle that looked at the good parts."""
    bundle_sha256: Sha256
    """SHA-256 of that bundle's manifest; the file fits this bundle only."""
    created: str
    """Time in UTC."""
    parts: Positive
    """Number of good parts."""
    frames: FrameHabits
    answers: AnswerHabits
    noise: NoiseLevel | None = None
    """Noise at which copies of the good parts keep their answer; null where it was not measured."""
    scale: GoodScale | None = None
    """Null where no maps were made, or where all were 0 everywhere."""
    threshold: float | None = None
    """Of an anomaly scorer: the score from which a part is NG; null for others."""
    layout: LayoutContent | None = None
    """Null where the parts do not lie in the same place."""
    arrays: dict[str, ArrayEntry] = msgspec.field(default_factory=dict)
    """The other members, by name."""
