"""Load an ``.onnx`` file from any framework; weights in other files are read from its own folder only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Literal, Protocol

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from gagrad_edge.errors import ModelError
from gagrad_export.load.complete import check_complete
from gagrad_export.load.training_mode import training_notes
from gagrad_export.size import SMALLER, check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.manifest import Sha256


class Autograd(Protocol):
    """A function that computes the gradient in the framework that the model comes from."""

    def __call__(
        self, x: NDArray[np.float32], cotangent: NDArray[np.float32], *, double: bool
    ) -> NDArray[np.float32]:
        """Return the gradient ``[N,C,H,W]`` at the model input x for a cotangent ``[N,K…]``.

        Computed in float64 if ``double``. Raises RuntimeError when the model cannot run in float64, or when
        autograd does not reach the image.
        """
        ...


@dataclass(frozen=True)
class Source:
    """A model as the user gave it, in ONNX; a torch module can also be asked itself."""

    model: onnx.ModelProto
    name: str
    sha256: Sha256
    kind: Literal["onnx", "torch"]
    gradient: Autograd | None = None
    """Autograd through a torch module, of the first tensor that it returns."""
    notes: tuple[str, ...] = ()
    """What loading changed or found, in sentences for the user."""
    gradients: Mapping[str, Autograd] = field(default_factory=dict)
    """Autograd through a torch module for each output of ``model``, by name."""
    through: Mapping[str, Autograd] = field(default_factory=dict)
    """The same, but through what the module detaches or computes under ``no_grad``."""
    answers: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = field(default_factory=dict)
    """For each output of ``model``, a function from the model input to what the torch module answers."""


def load_onnx_file(path: str | Path) -> Source:
    """Load the model at ``path``. Raises ModelError."""
    path = Path(path)
    where = str(path)
    try:
        check_size(path.stat().st_size, "the model", where, SMALLER)
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot be read ({error.strerror or error})", where=where, hint="give the path of an .onnx file"
        ) from error
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError(
            "this is not an ONNX model",
            where=where,
            hint="give a file that `torch.onnx.export`, tf2onnx, paddle2onnx or the like wrote; for a torch "
            "module give package.module:factory",
        ) from error
    if not model.graph.node or not model.graph.output:
        raise ModelError("the ONNX model is empty", where=where, hint="export it again")
    check_complete(model, where)
    digest = hashlib.sha256(data)
    locations, size = _external_locations(model, path)
    check_size(model.ByteSize() + size, "the model", where, SMALLER)
    for location in sorted(locations):
        with (path.parent / location).open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    try:
        load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"the weights cannot be read ({str(error).splitlines()[0]})",
            where=where,
            hint="copy the model's whole folder again",
        ) from error
    return Source(model, path.stem, digest.hexdigest(), "onnx", notes=training_notes(model))


def _external_locations(model: onnx.ModelProto, path: Path) -> tuple[set[str], int]:
    """Return the files that hold weights, by path within the model's folder, and the weights' size in bytes.

    Raises ModelError unless each file lies in the model's own folder.
    """
    folder = path.parent.resolve()
    locations, size = set(), 0
    for tensor in _tensors(model.graph):
        if not uses_external_data(tensor):
            continue
        fields = {entry.key: entry.value for entry in tensor.external_data}
        location = fields.get("location", "")
        pure = PurePosixPath(location)
        outside = pure.is_absolute() or PureWindowsPath(location).is_absolute() or ".." in pure.parts
        if outside or not (folder / location).resolve().is_relative_to(folder):
            raise ModelError(
                f"the weights of {tensor.name!r} point outside the model's folder ({location})",
                where=str(path),
                hint="put the weight file beside the model and export it with a plain file name",
            )
        if not (folder / location).is_file():
            raise ModelError(
                f"the weight file {location!r} is missing",
                where=str(path),
                hint="copy it into the folder of the model",
            )
        length = fields.get("length", "")
        size += int(length) if length.isdecimal() else (folder / location).stat().st_size
        locations.add(location)
    return locations, size


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t, *attribute.tensors]
            for subgraph in [attribute.g, *attribute.graphs]:
                yield from _tensors(subgraph)
