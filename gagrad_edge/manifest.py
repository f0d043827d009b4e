"""The manifest of a bundle: what it explains, how, and the hash of every file in it.

The structures below are the schema: msgspec validates types, and ``__post_init__`` what types cannot say.
``docs/manifest.schema.json`` is generated from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from gagrad_edge.errors import BundleError
from gagrad_edge.output import OutputSpec  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.schema import Positive, Strict

FORMAT = 2
"""Version of the bundle format that this package writes, and the only one that it reads."""

ABI = 1
"""Version of the graphs' inputs and outputs, which ``gagrad_edge.abi`` spells."""

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
GraphRole = Literal["predict", "accumulate", "combine", "finalize", "maps", "recover", "cam"]
REQUIRED_ROLES: tuple[GraphRole, ...] = ("predict", "accumulate", "combine", "finalize", "maps", "recover")
GraphTarget = Literal["portable", "tensorrt", "openvino", "aarch64"]
GraphPrecision = Literal["float32", "float16"]
Numbers = Literal["float32", "float16", "bfloat16"]
"""What an engine computes model and gradient in; in bfloat16 it runs the float32 graphs."""
Resize = Literal["stretch", "letterbox", "crop"]
Interpolation = Literal["nearest", "linear", "area", "cubic", "lanczos"]
PadPlace = Literal["centre", "top-left"]
Semantics = Literal["pil", "opencv", "torch"]
RESAMPLING: dict[Semantics, dict[Interpolation, tuple[bool, ...]]] = {
    "pil": {"nearest": (False,), "linear": (True,), "area": (True,), "cubic": (True,), "lanczos": (True,)},
    "opencv": {
        "nearest": (False,),
        "linear": (False,),
        "area": (True,),
        "cubic": (False,),
        "lanczos": (False,),
    },
    "torch": {"nearest": (False,), "linear": (True, False), "area": (True,), "cubic": (True, False)},
}
"""The interpolations of each library, and the values of ``antialias`` of each, the default first."""
Colour = Literal["rgb", "bgr", "mono", "channels"]
MAX_CHANNELS = 16
"""Most channels of an image: lights, cameras or bands that are no colours."""
Bayer = Literal["rggb", "bggr", "grbg", "gbrg"]
MAX_PIXELS = 1 << 26
"""Largest image of a model, height × width, because a device's memory grows with it."""
FeatureLayout = Literal["channels-first", "channels-last", "tokens"]


class InputSpec(Strict, frozen=True):
    """How a frame becomes the image ``[1, C, H, W]`` and the image the model input."""

    height: Positive
    width: Positive
    colour: Colour
    """Order of the image's channels: ``mono`` has one; ``channels`` has those of ``channel_names``, which are
    no colours: lights, cameras, bands."""
    mean: list[float]
    """One number per channel, in pixel values 0..1; model input = (image − mean) / std."""
    std: list[float]
    """One number per channel, greater than 0."""
    resize: Resize = "stretch"
    """``stretch`` to the size; ``letterbox``: fit inside, pad; ``crop``: cover, cut the centre."""
    resize_to: Positive | None = None
    """For ``crop``: the frame's shorter side gets this length, the longer one in proportion, and the centre
    is cut from it (torchvision's ``Resize`` and ``CenterCrop``). Null with ``crop_ratio`` null: just covers.
    """
    crop_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """For ``crop``: the frame covers ⌊height / crop_ratio⌋ × ⌊width / crop_ratio⌋, and the centre is cut from
    it (timm's ``crop_pct``)."""
    interpolation: Interpolation | None = None
    """How pixels are resampled, as the library ``semantics`` does it. Null with ``semantics`` null: an axis
    that shrinks is averaged over the area, an axis that grows is linear, and no value is rounded."""
    antialias: bool | None = None
    """Whether shrinking takes all pixels into account; ``RESAMPLING`` has what each library can do."""
    semantics: Semantics | None = None
    """Library whose resampling and rounding is reproduced; null: see ``interpolation``."""
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    """Grey beside the frame, as a pixel value of 8 bits."""
    pad_place: PadPlace = "centre"
    """Where ``letterbox`` puts the frame; ``top-left`` pads at the bottom and at the right only."""
    bit_depth: Annotated[int, msgspec.Meta(ge=9, le=16)] = 16
    """Significant bits of a uint16 frame, whose values are divided by ``2^bit_depth − 1``."""
    bayer: Bayer | None = None
    """Colours of the first 2×2 pixels of a raw mono frame, row by row; null when mono frames are grey."""
    channel_names: list[str] = msgspec.field(default_factory=list)
    """With ``colour`` ``channels``: a name for each, in the order of the frame and of the image."""
    shown: list[Annotated[int, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=list)
    """With ``colour`` ``channels``: the one that pictures show as grey, or the three that they show as red,
    green and blue; indices into ``channel_names``."""

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return {"mono": 1, "rgb": 3, "bgr": 3}.get(self.colour) or len(self.channel_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)

    def __post_init__(self) -> None:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(
                f"an image {self.height} high and {self.width} wide has more than {MAX_PIXELS} pixels"
            )
        if self.bayer and self.colour in ("mono", "channels"):
            raise ValueError(f"a Bayer pattern needs a model that takes colours, not {self.colour}")
        self._check_channels()
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} must hold {self.channels} finite numbers, one per channel")
        if min(self.std) <= 0:
            raise ValueError("std must be greater than 0")
        self._check_resize()
        self._check_resampling()

    def _check_channels(self) -> None:
        names = self.channel_names
        if self.colour != "channels":
            if names or self.shown:
                raise ValueError(f"channel_names and shown belong to colour channels, not to {self.colour}")
            return
        if not 1 <= len(names) <= MAX_CHANNELS:
            raise ValueError(f"an image has 1 to {MAX_CHANNELS} channel_names, not {len(names)}")
        if len(set(names)) != len(names) or not all(names):
            raise ValueError("each of channel_names must be another, and none empty")
        if len(self.shown) not in (1, 3) or not all(index < len(names) for index in self.shown):
            raise ValueError(f"shown must hold one or three of the channels 0 to {len(names) - 1}")

    def _check_resize(self) -> None:
        if self.resize != "crop" and (self.resize_to is not None or self.crop_ratio is not None):
            raise ValueError(f"resize_to and crop_ratio belong to resize crop, not to {self.resize}")
        if self.resize_to is not None and self.crop_ratio is not None:
            raise ValueError("of resize_to and crop_ratio only one can be given")
        if self.resize_to is not None and self.resize_to < min(self.height, self.width):
            raise ValueError(
                f"resize_to {self.resize_to} is less than the shorter side of the image, {self.height} high "
                f"and {self.width} wide"
            )
        if self.resize == "stretch" and self.pad_value != 0:
            raise ValueError("pad_value belongs to resize letterbox or crop: stretch pads nothing")
        if self.resize != "letterbox" and self.pad_place != "centre":
            raise ValueError(f"pad_place belongs to resize letterbox, not to {self.resize}")

    def _check_resampling(self) -> None:
        if self.semantics is None:
            if self.interpolation is not None or self.antialias is not None:
                raise ValueError("interpolation and antialias need semantics: the libraries differ in them")
            return
        can = RESAMPLING[self.semantics]
        if self.interpolation not in can:
            raise ValueError(f"interpolation of {self.semantics} is one of {', '.join(can)}")
        if self.antialias not in can[self.interpolation]:
            always = can[self.interpolation][0]
            raise ValueError(
                f"antialias is always {'on' if always else 'off'} for {self.semantics} {self.interpolation}"
            )


class NoiseLevel(Strict, frozen=True):
    """Noise of the preset ``operator``: as much as the model bears without changing its answer."""

    noise_std: Annotated[float, msgspec.Meta(gt=0)]
    """Noise level relative to the range of the model input."""
    kept: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Share of the noisy copies that kept their image's answer at this level."""
    images: Annotated[int, msgspec.Meta(ge=0)]
    """Number of sample images; 0 where there were none: then the level is a guess from made-up frames, and
    the usual one is used."""

    @property
    def guessed(self) -> bool:
        """Whether no image of a part was there to measure it."""
        return self.images == 0


class MethodSpec(Strict, frozen=True):
    """Defaults of the method. Each can be overridden when explaining, except RCAP's two."""

    samples: Annotated[int, msgspec.Meta(ge=2)] = 20
    """T, the number of samples of one explanation."""
    noise_std: Annotated[float, msgspec.Meta(gt=0)] = 0.15
    """Noise level relative to the range of the model input."""
    percentile: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.85
    """p of the guide."""
    chunk: Positive = 10
    """Samples of one run of ``accumulate``, unless the device chooses another number."""
    rcap_lower_bound: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    rcap_interval: Annotated[float, msgspec.Meta(ge=0.001, lt=1)] = 0.1
    operator: NoiseLevel | None = None
    """Noise of the preset ``operator``, which the export measures; null in a bundle of before."""


class FeatureLayer(Strict, frozen=True):
    """The intermediate activation at which the class activation maps (role ``cam``) are taken."""

    name: str
    """Name of the activation in the canonical model."""
    operator: str
    """Operator whose output the activation is."""
    layout: FeatureLayout
    """``[N, F, h, w]``, ``[N, h, w, F]``, or tokens ``[N, L, F]``, the last h·w of which are the patches."""
    features: Positive
    """F, the number of features."""
    height: Positive
    """h, in positions of the activation."""
    width: Positive
    """w, in positions of the activation."""


class ModelInfo(Strict, frozen=True):
    """The model that the graphs were made from."""

    name: str
    sha256: Sha256
    """SHA-256 of the model file, or of the ONNX bytes that torch exported."""
    source: Literal["onnx", "torch"]
    opset: Positive
    operators: dict[str, int]
    """Number of nodes of each operator in the canonical model."""
    notes: list[str] = msgspec.field(default_factory=list)
    """Changes to the model and assumptions about it that the exporter made, in sentences."""
    straight_through: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Number of quantisers of activations that the gradient passes straight through; 0 for a float model."""
    feature_layer: FeatureLayer | None = None
    """Where class activation maps are taken; null when the bundle has no such maps: a note says why."""
    further_feature_layers: list[FeatureLayer] = msgspec.field(default_factory=list)
    """The other scales of a detector, each of a smaller or equal grid: their maps are enlarged and added."""
    finer_feature_layer: FeatureLayer | None = None
    """A layer in front of ``feature_layer`` whose cells have half its sides or less, where those of
    ``feature_layer`` are large; maps are taken there, too. Null where one layer is fine enough."""

    @property
    def feature_layers(self) -> list[FeatureLayer]:
        """All layers at which class activation maps are taken, the one with the largest grid first."""
        return [] if self.feature_layer is None else [self.feature_layer, *self.further_feature_layers]

    def __post_init__(self) -> None:
        first = self.feature_layer
        if self.further_feature_layers and first is None:
            raise ValueError("further feature layers without a first one")
        for layer in self.further_feature_layers:
            if first is not None and layer.height * layer.width > first.height * first.width:
                raise ValueError(f"feature layer {layer.name!r} has a larger grid than the first")
        finer = self.finer_feature_layer
        if finer is not None and (
            first is None or finer.height < 2 * first.height or finer.width < 2 * first.width
        ):
            raise ValueError(f"the finer feature layer {finer.name!r} is not finer than the feature layer")


@dataclass(frozen=True)
class GraphKey:
    """What distinguishes one graph of a bundle from the others; hashable, to be a key of mappings."""

    role: GraphRole
    variant: str = ""
    """Which of several graphs of a role: for ``finalize`` the guide (empty: the paper's), for ``accumulate``
    ``perturbed`` (empty: noise only)."""
    target: str = "portable"
    """The engine in whose fast forms the graph is written: ``portable`` is ONNX Runtime's, and any engine
    takes it."""
    precision: GraphPrecision = "float32"
    """What the model and its gradient are computed in; inputs, outputs and statistics are float32."""


class GraphEntry(Strict, frozen=True):
    """One ONNX graph: the fields of its ``GraphKey``, and the member that holds it."""

    role: GraphRole
    file: str
    variant: str = ""
    target: str = "portable"
    precision: GraphPrecision = "float32"

    @property
    def key(self) -> GraphKey:
        """The graph's key."""
        return GraphKey(self.role, self.variant, self.target, self.precision)


class FileEntry(Strict, frozen=True):
    """Size in bytes and hash of one member of the bundle."""

    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


WEIGHTS = "weights/"
"""Folder of the stored tensors; each is named by the SHA-256 of its bytes."""


class Derivation(Strict, frozen=True):
    """How a tensor that is not stored follows from one that is; it only moves numbers, and may round them.

    In NumPy's words: ``source.reshape(view)[begin[0]::step[0], …].transpose(axes).astype(dtype)``. So weights
    of a convolution become those of its gradient: swapped, reversed, or every second one.
    """

    source: Sha256
    """Hash of a stored float32 tensor."""
    view: list[Positive]
    """Shape in which the source is read."""
    begin: list[Annotated[int, msgspec.Meta(ge=0)]]
    """First index along each axis of ``view``."""
    step: list[int]
    """Step along each axis, up to the end of the axis; negative: backwards, to its begin."""
    axes: list[Annotated[int, msgspec.Meta(ge=0)]]
    """Order of the axes afterwards."""
    dtype: GraphPrecision = "float32"
    """Type of the result; to float16 it is rounded to the nearest, ties to even."""

    def __post_init__(self) -> None:
        rank = len(self.view)
        if not len(self.begin) == len(self.step) == rank or sorted(self.axes) != [*range(rank)]:
            raise ValueError("view, begin, step and axes of a derived tensor must have one length")
        if rank > MAX_RANK:
            raise ValueError(f"a derived tensor has more than {MAX_RANK} axes")
        if not all(first < size for first, size in zip(self.begin, self.view, strict=True)):
            raise ValueError("a derived tensor begins behind the end of its source")
        if 0 in self.step:
            raise ValueError("a step of a derived tensor is 0")


MAX_RANK = 16
"""Most axes of a derived tensor's source."""


class Agreement(Strict, frozen=True):
    """How well two forms of one model agree on the self-test's frame."""

    gradient_cosine: float
    """Cosine of the mean gradients over the samples of one explanation."""
    map_correlation: float
    """Spearman's rank correlation of the maps."""
    scores_error: float
    """Largest difference of the scores, relative to their range."""


class PrecisionCheck(Agreement, frozen=True):
    """How well the model in other numbers agrees with float32: the worst of the images that were tried.

    In float16 every value was rounded to it; in bfloat16 OpenVINO ran the graphs.
    """

    precision: Numbers
    """The other numbers."""
    place_moved: float | None = None
    """Distance between the first places of the operator's two maps, as a share of the frame's side; None
    where it was not measured."""


class Verification(Strict, frozen=True):
    """What the exporter measured before it packaged the graphs."""

    reference: Literal["autograd", "finite-differences"]
    """The independent gradient that the graph's gradient was compared with."""
    gradient_error: float
    """Relative error ‖g − g_ref‖₂ / ‖g_ref‖₂ of the gradient, the median over the verification inputs."""
    gradient_error_worst: float
    """The largest of these errors. Rounding decides on which side of a kink an activation falls, and so
    a single input can have a large error."""
    gradient_tolerance: float
    """Largest ``gradient_error`` that is packaged."""
    forward_error: float
    """Largest difference of the scores from those of the source model, relative to their range."""
    forward_tolerance: float
    """Largest ``forward_error`` that is packaged; larger for a model that itself computes in float16."""
    batch_error: float
    """Largest relative difference between the samples of a batch and the same samples run alone."""
    precisions: list[PrecisionCheck] = msgspec.field(default_factory=list)
    """One check for each precision of the bundle's graphs beside float32."""
    float_twin: Agreement | None = None
    """Agreement of a quantised model with the same model without rounding (its quantisers only limit values);
    null for a float model."""


class SelfTest(Strict, frozen=True):
    """A frame and its expected map; ``verify`` explains the frame again on the device."""

    frame: str
    """Name of the member that holds the frame: PNG of the model's size, RGB or grey, 8 bits; ``.npy``, uint8
    [H, W, C], where the channels are no colours."""
    saliency: str
    """Name of the member that holds the expected map: ``.npy``, float32 [H, W]."""
    target: list[int]
    """Index of the explained score, without the batch axis."""
    score: float
    """Score of the target, in the model's unit."""
    magnitude: Annotated[float, msgspec.Meta(ge=0)]
    """Largest value of the map before it was scaled to 0..1, divided by the number of samples; 0 for a linear
    model."""
    samples: Positive
    """Samples that the expected map was made from."""
    seed: Annotated[int, msgspec.Meta(ge=0)]
    """Seed of their noise bank."""
    tolerance: float
    """A pixel agrees when its value differs from the expected value by at most this."""
    agreement: float
    """Share of pixels that must agree. The guide is a step, so rounding can flip single pixels."""
    answers: str = ""
    """Name of the member with the answers of every graph to the self-test's questions (JSON); empty in a
    bundle from before there were answers."""


class Confusion(Strict, frozen=True):
    """How many labelled images of one label got one answer."""

    label: str
    answer: str
    images: Positive


class Checked(Strict, frozen=True):
    """How labelled images were answered at the export: evidence that pictures are fed right."""

    images: Positive
    """Number of labelled images."""
    agree: Annotated[int, msgspec.Meta(ge=0)]
    """Number of those that were answered as labelled."""
    at_least: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Share that was asked for."""
    confusion: list[Confusion]
    """The answers, sorted by label and answer."""
    suspect: str = ""
    """What would have given clearly more answers as labelled, such as another ``mean``; empty for nothing."""

    @property
    def passed(self) -> bool:
        """Whether as many images were answered as labelled as was asked for."""
        return self.agree >= self.at_least * self.images


class Exporter(Strict, frozen=True):
    """The program that wrote the bundle."""

    name: str
    version: str


class Manifest(Strict, frozen=True):
    """``manifest.json``: every other member of the bundle is named in ``files`` with its hash."""

    format: Positive
    abi: Positive
    name: str
    created: str
    """Time of the export in UTC, ``YYYY-MM-DDTHH:MM:SSZ``."""
    exporter: Exporter
    model: ModelInfo
    input: InputSpec
    output: OutputSpec
    method: MethodSpec
    graphs: list[GraphEntry]
    selftest: SelfTest
    verification: Verification
    files: dict[str, FileEntry]
    derived: dict[Sha256, Derivation] = msgspec.field(default_factory=dict)
    """Tensors that graphs refer to and that are not stored, by the SHA-256 of their bytes."""
    checked: Checked | None = None
    """Labelled images and their answers; null when nobody has seen whether pictures are fed right."""

    def __post_init__(self) -> None:
        named = [graph.file for graph in self.graphs] + [self.selftest.frame, self.selftest.saliency]
        named += [self.selftest.answers] if self.selftest.answers else []
        missing = sorted(set(named) - set(self.files))
        if missing:
            raise ValueError(f"files named but not hashed: {', '.join(missing)}")
        roles = {graph.role for graph in self.graphs}
        absent = [role for role in REQUIRED_ROLES if role not in roles]
        if absent:
            raise ValueError(f"no graph for: {', '.join(absent)}")
        self._check_weights()

    def _check_weights(self) -> None:
        for name, entry in self.files.items():
            if name.startswith(WEIGHTS) and name != WEIGHTS + entry.sha256:
                raise ValueError(f"{name} is not named by its hash")
        for name, derivation in self.derived.items():
            if WEIGHTS + derivation.source not in self.files or WEIGHTS + name in self.files:
                raise ValueError(f"the derived tensor {name} is stored, or has no source")

    def graph(self, key: GraphKey) -> GraphEntry:
        """Return the graph of ``key``, or the nearest form of it. Raises BundleError when there is none.

        A role and variant that the bundle has in float32 only, or in portable form only, is returned so;
        where it has either the precision or the target, the one of that precision.
        """
        forms = {
            (graph.precision, graph.target): graph
            for graph in self.graphs
            if (graph.role, graph.variant) == (key.role, key.variant)
        }
        for wanted in ((key.precision, key.target), (key.precision, "portable"), ("float32", key.target)):
            if wanted in forms:
                return forms[wanted]
        if ("float32", "portable") not in forms:
            name = " ".join(filter(None, (key.role, key.variant)))
            raise BundleError(
                f"there is no float32 form of the graph {name!r} for every engine",
                where=self.name,
                hint="export the bundle again",
            )
        return forms["float32", "portable"]

    def keys(self, target: str, precision: GraphPrecision) -> list[GraphKey]:
        """Return one key of ``target`` and ``precision`` for each role and variant in the bundle."""
        found = [GraphKey(graph.role, graph.variant, target, precision) for graph in self.graphs]
        return list(dict.fromkeys(found))

    def variants(self, role: GraphRole) -> list[str]:
        """Return the names of the graphs of ``role``, the plain one as an empty name; sorted."""
        return sorted({graph.variant for graph in self.graphs if graph.role == role})


class _Head(msgspec.Struct):
    format: int
    abi: int


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical bytes of ``manifest``: sorted keys, two-space indent, one final newline."""
    return _canonical(manifest)


def _canonical(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def decode_manifest(data: bytes, *, where: str) -> Manifest:
    """Return the validated manifest in ``data``. Raises BundleError, also for an older or newer format."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"the manifest is not readable ({error})", where=where, hint=_COPY_AGAIN) from error
    for name, found, known in (("format", head.format, FORMAT), ("graph ABI", head.abi, ABI)):
        if found > known:
            raise BundleError(
                f"bundle {name} {found} is newer than this gagrad-edge reads ({known})",
                where=where,
                hint="upgrade gagrad-edge on this machine, or export with the version installed here",
            )
    if head.format < FORMAT:
        raise BundleError(
            f"bundle format {head.format} is that of an earlier gagrad-edge, and this one reads {FORMAT}",
            where=where,
            hint="export the model again with the version installed here",
        )
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"the manifest is not valid ({error})", where=where, hint=_COPY_AGAIN) from error
    # Compared with what was read, not with ``manifest``: an earlier version left out fields with a default.
    if _canonical(msgspec.json.decode(data)) != data:
        raise BundleError("the manifest is not in canonical form", where=where, hint=_COPY_AGAIN)
    return manifest


_COPY_AGAIN = "copy the bundle again from where it was exported, or export it again"
