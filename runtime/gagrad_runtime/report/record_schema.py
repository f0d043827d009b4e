"""The structures of the JSON record; ``docs/record.schema.json`` is generated from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gagrad_edge import schema
from gagrad_edge.input import Resize  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.output import Activation, Task  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_runtime.explanation.covering import Fill  # noqa: TC001 - as above
from gagrad_runtime.explanation.places import Evidence  # noqa: TC001 - as above
from gagrad_runtime.question.methods import PAPER
from gagrad_runtime.report.prediction_record import DetectionRecord  # noqa: TC001 - as above

Count = Annotated[int, msgspec.Meta(ge=1)]


class PlacementRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where the frame is in the image: ``image[offset + r] = resample(frame[window], resized)[r]``."""

    rule: Resize
    model_size: tuple[Count, Count]
    """(height, width)."""
    window: tuple[int, int, int, int]
    """(top, left, height, width) of the part of the frame that is resampled."""
    resized: tuple[Count, Count]
    offset: tuple[int, int]
    """(top, left); above 0 for padding, below 0 where the image cuts."""
    share_on_frame: float
    """Share of the map's sum that lies on the frame and not on the padding, 0..1."""


class PlaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One connected place where the map is above its 0.95 quantile, in frame pixels."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom); the last two are one past the last pixel."""
    area: Annotated[int, msgspec.Meta(ge=1)]
    share: float
    """Of the map's mass on the frame, 0..1."""
    peak: tuple[float, float]
    """(x, y) of the highest point."""
    middle: tuple[float, float] | None = None
    """(x, y) of the place's pixel nearest to its centre of gravity: where to look. Null where an earlier
    version wrote it."""
    evidence: Evidence = "map"
    """What points at the place: the map; or, where it is highest elsewhere, the class activation or the
    difference to the good reference alone."""
    covering: float | None = None
    """Confidence in the target, 0..1, with the place covered; null where it was not asked."""


class CoveringRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says when places are covered: its confidence in the target, 0..1."""

    fill: Fill
    """What a place is covered with."""
    before: float
    """Of the frame as it is."""
    places: list[float]
    """With place 1, 2, … covered."""
    changed: list[bool]
    """Whether the model then gives another answer."""
    controls: list[float]
    """With a control place of the same size covered elsewhere."""
    controls_changed: list[bool]
    decidable: bool = True
    """Whether the model has an answer that could change; false for values without a threshold."""


class RoiRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the map keeps to the region of interest: shares of its mass on the frame."""

    file: str
    inside: float
    ignored: float
    """In ignore zones."""
    elsewhere: float
    share: float
    """``inside`` of what is not ignored."""
    limit: float | None
    """What ``share`` must reach; null when nothing was asked."""
    passed: bool | None
    """Null without a limit. A map that is the same everywhere does not pass."""


class ScaleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What good parts' maps reach; the picture's colours compare with it."""

    value: float
    """As ``raw``; half of the picture's scale."""
    images: Annotated[int, msgspec.Meta(ge=1)]
    """Number of good parts."""
    highest: float
    """The highest value of this map, softened as on the picture, in units of ``value``."""


class GoodRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of good parts, with which the explanation was compared."""

    sha256: Sha256
    """Of ``reference.json`` in the file that ``calibrate`` wrote."""
    image: bool
    """Whether the map compares the part with the image of good parts."""


_TOP = 5


class _Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable; a reader ignores fields that it does not know, so that fields can be added."""


class FrameRecord(_Struct, frozen=True):
    """The frame as it came."""

    file: str
    """The path or name as it was given; ``array`` for a frame from memory without a name."""
    height: Count
    width: Count
    channels: Annotated[int, msgspec.Meta(ge=1, le=16)]
    """1 for grey, 3 for colours; other numbers, and these too, for lights, cameras or bands."""
    bits: Literal[8, 16]
    """Bits of the pixels' type."""
    notes: list[str]
    """What was done to the stored pixels, e.g. ``EXIF orientation 6 applied``."""
    exif: dict[str, str] = {}
    """What the camera wrote of itself and the exposure, by EXIF name; nothing is done with it."""
    sha256: str = ""
    """SHA-256 of the pixels with their shape and type: which frame this was, whatever its name."""


class ClassRecord(_Struct, frozen=True):
    """One element of the model's output."""

    index: list[int]
    """Into the scores, without the batch axis."""
    name: str
    score: float | None
    """Before the activation."""
    probability: float | None
    """After it; null for a plain score."""
    box: tuple[float, float, float, float] | UnsetType = UNSET
    """Of a detector's candidate: left, top, right, bottom in frame pixels."""
    detection: Annotated[int, msgspec.Meta(ge=1)] | UnsetType | None = UNSET
    """A detector's: number in ``detections``, from 1; null for a candidate that is not listed."""


class AreaRecord(_Struct, frozen=True):
    """One class of a segmenter, or an anomaly map above its limit."""

    name: str
    """Empty for an anomaly map."""
    share: float
    """Of what the model sees of the frame, 0..1."""


class CharacterRecord(_Struct, frozen=True):
    """One character of a text line."""

    name: str
    probability: float


class ScoresRecord(_Struct, frozen=True):
    """The model's scores for the frame as it is, before the activation."""

    shape: list[int]
    minimum: float | None
    maximum: float | None
    finite: bool
    """Whether every score is a number."""


class RcapRecord(_Struct, frozen=True):
    """ReCover And Predict, 0..1, and the curve behind it; the lists have one element per level."""

    score: float | None
    levels: list[float]
    """From high to low."""
    ratio: list[float | None]
    """Share of the map's mass that is kept."""
    confidence: list[float | None]
    """Probability of the target on the kept pixels alone."""


class MethodRecord(_Struct, frozen=True, kw_only=True):
    """What the map was made with."""

    preset: str = "paper"
    """What chose the method and its settings: ``operator`` or ``paper``."""
    name: str = PAPER
    """The method; ``gagrad-edge explain --help`` lists them."""
    guide: str = "paper"
    """What weighs the gradients of ``guided-absolutegrad``."""
    samples: Count
    """Number of samples that the map was made from."""
    stopped: Literal["samples", "stable", "budget"] = "samples"
    """Why there are no more: all were made, the map was stable enough, or the time was up."""
    seed: int
    percentile: float
    noise_std: float
    perturbation: str = ""
    """What the copies were changed by beside noise."""
    baseline: float | None = None
    """Pixel value, 0..1, where the path of integrated gradients began; null for the other methods."""
    chunk: Count
    notes: list[str] = []
    """What was done otherwise than the method says, such as a map without class activation."""
    straight_through: Annotated[int, msgspec.Meta(ge=0)]
    """How many quantisers the gradient passes straight through; 0 for a float model."""
    float_twin: float | None = None
    """Rank correlation of the map with that of the model without rounding, measured at export on the bundle's
    frame; null for a float model."""


class BundleRecord(_Struct, frozen=True):
    """The bundle that was used."""

    name: str
    sha256: Sha256


class CautionRecord(_Struct, frozen=True):
    """One thing to know before trusting the map."""

    code: str
    """Stable; made for programs."""
    text: str


class RunRecord(_Struct, frozen=True):
    """What differs from run to run."""

    created: str
    """Time in UTC when the explanation was made, ``YYYY-MM-DDTHH:MM:SSZ``."""
    seconds: dict[str, float]
    """Wall time per stage."""


class Record(_Struct, frozen=True, kw_only=True):
    """One explanation: one frame and one target."""

    schema: Literal[1]
    """Version of the record; a new field does not raise it, a changed or removed one does."""
    bundle: BundleRecord
    backend: str
    """Engine, version and device."""
    backend_notes: list[str] = []
    """What it did otherwise than asked: operators left to the CPU, batches of one, another device instead."""
    frame: FrameRecord
    placement: PlacementRecord
    task: Task = "classification"
    """What the model is for."""
    activation: Activation
    """What turns scores into probabilities; ``none`` for a plain score."""
    target: ClassRecord
    """What is explained."""
    region: str | None = None
    """Where a spatial output is explained; its figures are means over the region. Null for one element."""
    against: ClassRecord | None
    """The other class of a difference, "why this and not that"."""
    predicted: ClassRecord
    """What the model says by itself."""
    top: list[ClassRecord]
    """The five classes with the highest scores; empty when the output is no list of classes."""
    detections: list[DetectionRecord] = []
    """A detector's list, the most probable first; empty for other tasks."""
    areas: list[AreaRecord] = []
    """A segmenter's classes besides the background, largest first; or what of an anomaly map is above its
    limit."""
    score: float | None = None
    """The value of a regression or of an anomaly scorer, as the model itself gives it."""
    unit: str = ""
    """Unit of a regression's values."""
    threshold: float | None = None
    """What makes an anomaly score NG; null where nobody has set it."""
    verdict: Literal["OK", "NG"] | None = None
    """NG where ``score`` reaches ``threshold``; null without a threshold."""
    text: str | None = None
    """The text of a line."""
    characters: list[CharacterRecord] = []
    """The characters of ``text`` with their probabilities."""
    scores: ScoresRecord
    rcap: RcapRecord | None
    """Null where it was not asked for."""
    stability: float | None = None
    """Expected rank correlation with a map of as many other samples, 0..1; null where there is none."""
    raw: tuple[float | None, float | None] = (0.0, 1.0)
    """What 0 and 1 of the map were before it was scaled, for one sample."""
    method: MethodRecord
    cautions: list[CautionRecord]
    covering: CoveringRecord | None = None
    """Null where no place was covered."""
    place_stability: float | None = None
    """How often parts of the samples agree on place 1, 0..1; null where it is not measured."""
    copies_kept: float | None = None
    """Share of the noisy copies that keep the image's answer, 0..1; null where that is not known."""
    places: list[PlaceRecord] = []
    """The places of the map, numbered from 1 in this order, at most ten; empty for a flat map."""
    roi: RoiRecord | None = None
    """Null when no region of interest was given."""
    scale: ScaleRecord | None = None
    """The colour scale fixed by good parts; null when the map scales itself."""
    good: GoodRecord | None = None
    """Null where nothing is known of good parts."""
    part: str | UnsetType | None = UNSET
    """The plant's name of the part, as a station found it in the frame's name; null where the name has none,
    left out where nobody asked."""
    files: dict[str, str]
    """Names of the files written beside this one, by kind."""
    run: RunRecord


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the record."""
    return schema.json_schema(Record)
