"""Packaging: graphs, self-test and evidence become a bundle."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gagrad_edge import __version__
from gagrad_edge.bundle.bundle import write_bundle
from gagrad_edge.manifest import (
    ABI,
    FORMAT,
    Exporter,
    FileEntry,
    GraphEntry,
    InputSpec,
    Manifest,
    MethodSpec,
    ModelInfo,
    OutputSpec,
    SelfTest,
)
from gagrad_edge.source_date import creation_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_edge.manifest import FeatureLayer, GraphPrecision, GraphRole, GraphTarget
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source
    from gagrad_export.verify import Graphs
    from gagrad_export.verify.checks import Verified

_FRAME, _SALIENCY = "selftest/frame.png", "selftest/saliency.npy"
_ROLES: tuple[GraphRole, ...] = ("predict", "accumulate", "finalize", "recover")

SELFTEST_TOLERANCE, SELFTEST_AGREEMENT = 1e-3, 0.995
"""Measured between engines: up to 0.4 % of pixels flip at the guide's threshold; the rest agree to 1e-5."""


def package(
    path: Path,
    *,
    name: str,
    source: Source,
    model: Canonical,
    graphs: Graphs,
    verified: Verified,
    spec: InputSpec,
    output: OutputSpec,
    method: MethodSpec,
    feature_layer: FeatureLayer | None = None,
    notes: Sequence[str] = (),
) -> Manifest:
    """Write the bundle to ``path`` in one step; return its manifest. Raises OutputError.

    ``notes`` are put behind the model's own.
    """
    contents = {_entry(role): getattr(graphs, role) for role in _ROLES}
    contents |= {_entry("accumulate", target=target): data for target, data in graphs.accumulate_for.items()}
    contents |= {_entry(role, precision="float16"): data for role, data in graphs.half.items()}
    contents |= {_entry(role, variant): data for (role, variant), data in graphs.others.items()}
    members: dict[str, bytes | memoryview] = {entry.file: data for entry, data in contents.items()}
    members[_FRAME] = _png(verified.frame)
    members[_SALIENCY] = _npy(verified.saliency)
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
            notes=[*model.notes, *notes],
            straight_through=model.straight_through,
            feature_layer=feature_layer,
        ),
        input=spec,
        output=output,
        method=method,
        graphs=list(contents),
        selftest=SelfTest(
            frame=_FRAME,
            saliency=_SALIENCY,
            target=list(verified.target),
            score=verified.score,
            magnitude=verified.magnitude,
            samples=method.samples,
            seed=0,
            tolerance=SELFTEST_TOLERANCE,
            agreement=SELFTEST_AGREEMENT,
        ),
        verification=verified.numbers,
        # write_bundle replaces these by the real entries; the manifest checks that the names exist.
        files={member: FileEntry(size=0, sha256="0" * 64) for member in members},
    )
    return write_bundle(path, manifest, members)


def _entry(
    role: GraphRole,
    variant: str = "",
    target: GraphTarget = "portable",
    precision: GraphPrecision = "float32",
) -> GraphEntry:
    plain = ("", "portable", "float32")
    parts = [role, *(part for part in (variant, target, precision) if part not in plain), "onnx"]
    return GraphEntry(
        role=role, variant=variant, target=target, precision=precision, file="graphs/" + ".".join(parts)
    )


def _png(frame: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG")
    return stream.getvalue()


def _npy(array: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
