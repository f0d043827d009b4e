"""Packaging: from graphs, self-test and verification numbers to a bundle."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from PIL import Image

from gagrad_edge import __version__
from gagrad_edge.abi import FEATURES, feature_shapes
from gagrad_edge.bundle.bundle import write_bundle
from gagrad_edge.manifest import (
    ABI,
    FORMAT,
    WEIGHTS,
    Exporter,
    FileEntry,
    GraphEntry,
    GraphKey,
    Manifest,
    MethodSpec,
    ModelInfo,
    SelfTest,
)
from gagrad_edge.selftest import encode_answers
from gagrad_edge.source_date import creation_text
from gagrad_export.assemble.passing import passing
from gagrad_export.derivation import stored_and_derived

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import Checked, FeatureLayer
    from gagrad_edge.output import OutputSpec
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source
    from gagrad_export.verify.checks import Verified

_FRAME, _CHANNELS, _SALIENCY = "selftest/frame.png", "selftest/frame.npy", "selftest/saliency.npy"
"""Members of the self-test: the frame, as an image or as an array of channels, and the map."""
_ANSWERS = "selftest/answers.json"
"""Member of the self-test: what each graph answers to its questions."""

SELFTEST_TOLERANCE, SELFTEST_AGREEMENT = 1e-3, 0.995
"""Tolerance of a pixel and share of pixels that must agree. Between engines up to 0.4 % of the pixels flip at
the guide's threshold; the others agree to 1e-5."""


def package(
    path: Path,
    *,
    name: str,
    source: Source,
    model: Canonical,
    graphs: Mapping[GraphKey, GraphFile],
    verified: Verified,
    spec: InputSpec,
    output: OutputSpec,
    method: MethodSpec,
    feature_layers: Sequence[FeatureLayer] = (),
    finer_feature_layer: FeatureLayer | None = None,
    notes: Sequence[str] = (),
    checked: Checked | None = None,
) -> Manifest:
    """Write the bundle to ``path`` in one step; return its manifest. Raises OutputError.

    ``graphs`` stand in the manifest in their order. ``notes`` come after those of the source, the
    model and its verification. ``checked`` is how labelled images were answered.
    """
    entries = {key: _entry(key) for key in graphs}
    stored, derived = stored_and_derived(graphs.values())
    members: dict[str, Buffer] = {entries[key].file: graph.data for key, graph in graphs.items()}
    weights = {WEIGHTS + sha256: content.data for sha256, content in stored.items()}
    members |= weights
    frame = _CHANNELS if spec.colour == "channels" else _FRAME
    members[frame] = _npy(verified.frame) if spec.colour == "channels" else _png(verified.frame)
    members[_SALIENCY] = _npy(verified.saliency)
    members[_ANSWERS] = encode_answers(verified.answers)
    manifest = Manifest(
        format=FORMAT,
        abi=ABI,
        name=name,
        created=creation_text(),
        exporter=Exporter(name="gagrad-edge", version=__version__),
        model=ModelInfo(
            name=source.name,
            sha256=source.sha256,
            source=source.kind,
            opset=model.opset,
            operators=model.operators,
            notes=[*source.notes, *model.notes, *verified.notes, *notes],
            straight_through=model.straight_through,
            feature_layer=feature_layers[0] if feature_layers else None,
            further_feature_layers=list(feature_layers[1:]),
            finer_feature_layer=finer_feature_layer,
            passed=_passed(model, graphs, feature_layers, finer_feature_layer),
        ),
        input=spec,
        output=output,
        method=method,
        graphs=list(entries.values()),
        selftest=SelfTest(
            frame=frame,
            saliency=_SALIENCY,
            target=list(verified.target),
            score=verified.score,
            magnitude=verified.magnitude,
            samples=method.samples,
            seed=0,
            tolerance=SELFTEST_TOLERANCE,
            agreement=SELFTEST_AGREEMENT,
            answers=_ANSWERS,
        ),
        verification=verified.numbers,
        checked=checked,
        # Placeholders: the manifest checks the names, and write_bundle fills in sizes and hashes.
        files={
            member: FileEntry(size=0, sha256=member.removeprefix(WEIGHTS) if member in weights else "0" * 64)
            for member in members
        },
        derived=derived,
    )
    return write_bundle(path, manifest, members)


def _entry(key: GraphKey) -> GraphEntry:
    plain = GraphKey(key.role)
    named = ((key.variant, plain.variant), (key.target, plain.target), (key.precision, plain.precision))
    parts = [key.role, *(part for part, usual in named if part != usual), "onnx"]
    return GraphEntry(**asdict(key), file="graphs/" + ".".join(parts))


def _png(frame: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG")
    return stream.getvalue()


def _npy(array: NDArray[np.float32] | NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _passed(
    model: Canonical,
    graphs: Mapping[GraphKey, GraphFile],
    layers: Sequence[FeatureLayer],
    finer: FeatureLayer | None,
) -> list[list[int]] | msgspec.UnsetType:
    """Return the manifest's shapes of what passes, where the layers do not say them."""
    if GraphKey("cam", FEATURES) not in graphs:
        return msgspec.UNSET
    shapes = tuple(one.shape for one in passing(model, layers, finer))
    if shapes == feature_shapes(layers, finer):
        return msgspec.UNSET
    return [[int(size) for size in shape] for shape in shapes]
