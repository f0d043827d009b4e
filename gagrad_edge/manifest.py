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
from gagrad_edge.input import InputSpec  # noqa: TC001 - msgspec resolves the fields' types
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
FeatureLayout = Literal["channels-first", "channels-last", "tokens"]


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

    passed: (
        Annotated[list[Annotated[list[Positive], msgspec.Meta(max_length=4)]], msgspec.Meta(max_length=64)]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """Shapes, without the batch, of what passes from ``predict`` to ``cam`` in the variant ``features``,
    where the layers do not say it: of tokens, and of values that reach the scores past the layers. Absent
    elsewhere."""

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
        shapes = [] if isinstance(self.passed, msgspec.UnsetType) else self.passed
        if sum(map(math.prod, shapes)) > _MOST_PASSED:
            raise ValueError(f"more than {_MOST_PASSED} numbers in what passes from predict to cam")
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
    ``perturbed`` (empty: noise only), for ``predict`` and ``cam`` ``features`` (empty: each
    from the image)."""
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


_MOST_PASSED = 1 << 26
"""Numbers that pass from ``predict`` to ``cam``: the self-test draws as many."""
_COPY_AGAIN = "copy the bundle again from where it was exported, or export it again"
