"""The graphs of a bundle: the names, shapes and type of their inputs and outputs (the ABI).

This is the only place that spells them. The exporter adds the inputs of each graph from this table, the
device feeds and reads graphs by these names, and a bundle whose graphs have other inputs or outputs is
refused when it is opened. Every input and output is float32.

Shapes are written with symbols:

``N``, ``B``      images and samples of one run: free, any number from 1
``C``, ``H``, ``W``  the model's image
``K…``           the model's output without the batch, of any number of axes
``P``            levels of RCAP
``h``, ``w``      the feature layer, where class activation maps are taken; of several, the largest

``predict`` of a detector also gives ``boxes [N, A, 4]``, and that of an anomaly scorer may give
``anomaly_map [N, h, w]`` with a size of its own: see ``beside``. ``cam`` of a network whose feature layer is
coarse also gives ``finer_cams``, of the finer layer in front of it.

The variant ``features`` of ``predict`` also gives activations, and that of ``cam`` takes them in place of the
image: one forward pass then serves both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.method.class_activation import CAMS as _CAM_METHODS
from gagrad_edge.method.perturbation import COLUMNS
from gagrad_edge.method.reference import STATE_MAPS, rcap_levels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gagrad_edge.manifest import FeatureLayer, GraphRole, Manifest
    from gagrad_edge.output import OutputSpec

Shape = tuple["int | str", ...]
"""One entry for each axis: its size, or a symbol."""

DTYPE = "float32"
"""Type of every input and output."""

IMAGE = "image"
"""Pixel values 0..1; the model's normalisation is inside the graphs."""
NOISE = "noise"
"""What is added to the model input for each sample, before it is multiplied by the noise level."""
NOISE_STD = "noise_std"
"""Noise level relative to the range of the model input."""
COTANGENT = "cotangent"
"""Weights over the scores that define the target."""
PERTURBATION = "perturbation"
"""One row of ``gagrad_edge.method.perturbation.COLUMNS`` for each sample."""
SCORES = "scores"
"""The model's output before the activation."""
PERCENTILE = "percentile"
"""p of the guide."""
SALIENCY = "saliency"
"""The map, 0..1."""
RANGE = "range"
"""The map's smallest and largest value before it was scaled, per sample."""
MULTIPLIER = "times"
"""What the mean gradient is multiplied by: ones, the model input, or its difference from a baseline."""
MAPS = "maps"
"""Maps of the methods without a guide, not scaled, in the order of ``reference.STATE_MAPS``."""
RECOVERED = "recovered"
"""The image with only the pixels that one level of RCAP keeps."""
RATIO = "ratio"
"""Share of the map's sum that one level keeps; −1 for a level that does not count."""
BOXES = "boxes"
"""Boxes of a detector's candidates: left, top, right, bottom in pixels of the model's image."""
ANOMALY_MAP = "anomaly_map"
"""An anomaly scorer's map, which ``predict`` gives beside the score."""
CAMS = "cams"
"""Class activation maps in the order of ``class_activation.CAMS``, not scaled."""
FINER_CAMS = "finer_cams"
"""The same at the finer feature layer, where the bundle has one."""

COUNT, ABS_SUM, MEAN, M2 = "count", "abs_sum", "mean", "m2"
STATE = (COUNT, ABS_SUM, MEAN, M2)
"""The running statistics of the gradients: their number, Σ|g|, mean, and sum of squared deviations."""
STATE_OUT = {name: f"{name}_out" for name in STATE}
"""Names of the state after a chunk, as ``accumulate`` gives it."""
FIRST = {name: f"first_{name}" for name in STATE}
SECOND = {name: f"second_{name}" for name in STATE}
"""Names of the states of the two halves of the samples, as ``combine`` takes them."""

PERTURBED = "perturbed"
"""Variant of ``accumulate`` that also takes ``PERTURBATION``."""
FEATURES = "features"
"""Variant of ``predict`` that also gives activations, and of ``cam`` that takes them: ``feature_name``."""

N, B = "N", "B"
_C_H_W: Shape = ("C", "H", "W")
_SCALAR: Shape = ()
_K = "K…"


@dataclass(frozen=True)
class GraphAbi:
    """Inputs and outputs of one graph: shapes by name, in the graph's order."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


def _state(names: Mapping[str, str] | None = None) -> dict[str, Shape]:
    return {names[name] if names else name: _SCALAR if name == COUNT else _C_H_W for name in STATE}


_ACCUMULATE = GraphAbi(
    inputs={
        IMAGE: (1, *_C_H_W),
        NOISE: (B, *_C_H_W),
        NOISE_STD: _SCALAR,
        COTANGENT: (1, _K),
        **_state(),
    },
    outputs={**_state(STATE_OUT), SCORES: (B, _K)},
)

ABI: Mapping[GraphRole, GraphAbi] = {
    "predict": GraphAbi(inputs={IMAGE: (N, *_C_H_W)}, outputs={SCORES: (N, _K)}),
    "accumulate": _ACCUMULATE,
    "combine": GraphAbi(inputs={**_state(FIRST), **_state(SECOND)}, outputs=_state()),
    "finalize": GraphAbi(
        inputs={**_state(), PERCENTILE: _SCALAR}, outputs={SALIENCY: ("H", "W"), RANGE: (2,)}
    ),
    "maps": GraphAbi(inputs={**_state(), MULTIPLIER: _C_H_W}, outputs={MAPS: (len(STATE_MAPS), "H", "W")}),
    "recover": GraphAbi(
        inputs={IMAGE: (1, *_C_H_W), SALIENCY: ("H", "W")},
        outputs={RECOVERED: ("P", *_C_H_W), RATIO: ("P",)},
    ),
    "cam": GraphAbi(
        inputs={IMAGE: (N, *_C_H_W), COTANGENT: (1, _K)},
        outputs={SCORES: (N, _K), CAMS: (len(_CAM_METHODS), N, "h", "w")},
    ),
}
"""The graph of each role; the variants of ``finalize`` (guides) all have the same inputs and outputs."""

_ACCUMULATE_PERTURBED = GraphAbi(
    inputs={**_ACCUMULATE.inputs, PERTURBATION: (B, len(COLUMNS))}, outputs=_ACCUMULATE.outputs
)


def beside(output: OutputSpec) -> dict[str, Shape]:
    """Return what ``predict`` gives beside the scores of ``output``: shapes without the batch, by name."""
    if output.detection is not None:
        return {BOXES: (output.detection.candidates, 4)}
    if output.anomaly is not None and output.anomaly.map_size is not None:
        return {ANOMALY_MAP: output.anomaly.map_size}
    return {}


def feature_name(number: int) -> str:
    """Return the name of activation ``number`` of those that pass from ``predict`` to ``cam``."""
    return f"{FEATURES}_{number}"


def is_feature(name: str) -> bool:
    """Return whether ``name`` is one of ``feature_name``."""
    return name.startswith(f"{FEATURES}_")


def feature_shapes(layers: Sequence[FeatureLayer], finer: FeatureLayer | None = None) -> tuple[Shape, ...]:
    """Return the shapes, without the batch, of what passes from ``predict`` to ``cam``.

    The activations of the finer layer, which is in front of the other one, or of all layers, unless the
    manifest says otherwise. Empty for tokens: a layer does not say how many there are beside the patches.
    """
    cut = layers if finer is None else [finer]
    if any(one.layout == "tokens" for one in cut):
        return ()
    return tuple(
        (one.features, one.height, one.width)
        if one.layout == "channels-first"
        else (one.height, one.width, one.features)
        for one in cut
    )


def graph_abi(role: GraphRole, variant: str = "") -> GraphAbi:
    """Return the inputs and outputs of the graph of ``role`` and ``variant``, with symbols in the shapes."""
    return _ACCUMULATE_PERTURBED if (role, variant) == ("accumulate", PERTURBED) else ABI[role]


@dataclass(frozen=True)
class Sizes:
    """What the symbols stand for in one bundle; a symbol that is None here stays a symbol."""

    image: tuple[int, int, int]
    """(C, H, W)"""
    scores: tuple[int, ...] | None = None
    """K…"""
    levels: int | None = None
    """P"""
    feature: tuple[int, int] | None = None
    """(h, w)"""
    beside: Mapping[str, Shape] = field(default_factory=dict)
    """What ``predict`` gives beside the scores: ``beside(output)``."""
    finer: tuple[int, int] | None = None
    """(h, w) of the finer feature layer, where there is one."""
    features: tuple[Shape, ...] = ()
    """Shapes, without the batch, of what passes from ``predict`` to ``cam``."""

    @staticmethod
    def of(manifest: Manifest) -> Sizes:
        """Return the sizes of the symbols (C, H, W, …) that ``manifest`` states."""
        method, layer = manifest.method, manifest.model.feature_layer
        finer, passed = manifest.model.finer_feature_layer, manifest.model.passed
        return Sizes(
            image=manifest.input.shape,
            scores=tuple(manifest.output.shape),
            levels=len(rcap_levels(method.rcap_lower_bound, method.rcap_interval)),
            feature=None if layer is None else (layer.height, layer.width),
            beside=beside(manifest.output),
            finer=None if finer is None else (finer.height, finer.width),
            features=feature_shapes(manifest.model.feature_layers, finer)
            if isinstance(passed, msgspec.UnsetType)
            else tuple(map(tuple, passed)),
        )

    def graph(self, role: GraphRole, variant: str = "") -> GraphAbi:
        """Return the inputs and outputs of the graph of ``role`` and ``variant`` with these sizes."""
        abi = graph_abi(role, variant)
        if role == "predict":
            more = {name: (N, *shape) for name, shape in self.beside.items()}
            abi = GraphAbi(abi.inputs, {**abi.outputs, **more})
        if role == "cam" and self.finer is not None:
            finer: Shape = (len(_CAM_METHODS), N, *self.finer)
            abi = GraphAbi(abi.inputs, {**abi.outputs, FINER_CAMS: finer})
        if variant == FEATURES:
            abi = self._sharing(role, abi)
        return self.fill(abi)

    def _sharing(self, role: GraphRole, abi: GraphAbi) -> GraphAbi:
        """Return the variant ``FEATURES`` of ``abi``."""
        features = {feature_name(i): (N, *shape) for i, shape in enumerate(self.features)}
        if role == "predict":
            return GraphAbi(abi.inputs, {**abi.outputs, **features})
        maps = {name: shape for name, shape in abi.outputs.items() if name != SCORES}
        return GraphAbi({**features, COTANGENT: abi.inputs[COTANGENT]}, maps)

    def fill(self, abi: GraphAbi) -> GraphAbi:
        """Return ``abi`` with these sizes for the symbols; ``N`` and ``B`` stay, they are free."""
        known: dict[int | str, Shape] = {
            symbol: (size,) for symbol, size in zip(_C_H_W, self.image, strict=True)
        }
        if self.scores is not None:
            known[_K] = self.scores
        if self.levels is not None:
            known["P"] = (self.levels,)
        if self.feature is not None:
            known |= {symbol: (size,) for symbol, size in zip(("h", "w"), self.feature, strict=True)}

        def filled(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
            return {
                name: tuple(size for axis in shape for size in known.get(axis, (axis,)))
                for name, shape in shapes.items()
            }

        return GraphAbi(filled(abi.inputs), filled(abi.outputs))
