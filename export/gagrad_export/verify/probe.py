"""Run a model as it was given on a few frames, to see what its outputs are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.arrange.arranged import Probe
from gagrad_export.canonicalise.interface.image import source_input
from gagrad_export.canonicalise.interface.ports import choose_input, fix_inputs
from gagrad_export.verify.frame_scores import frame_images
from gagrad_export.verify.sessions import SourceSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import ArrayLike, NDArray

    from gagrad_export.canonicalise.interface.source import SourceInput


def probe_of(
    model: onnx.ModelProto,
    *,
    size: tuple[int, int] | None,
    channels: int | None = None,
    input_name: str | None,
    fixed: Mapping[str, ArrayLike],
    stated: Mapping[str, str] | None = None,
) -> Probe:
    """Return what ``model`` answers on a few frames; without outputs where it cannot be run as it is.

    The frames are given as pixel values 0..1, whatever mean and std the training had. ``stated`` is what
    other files say of the model, in the form of its metadata. Raises ModelError and SettingError for ports
    that canonicalisation would refuse, too.
    """
    graph = ir.serde.deserialize_model(model).graph
    image = choose_input(graph, input_name, fixed, [], channels=channels)
    metadata = {**{entry.key: entry.value for entry in model.metadata_props}, **(stated or {})}
    try:
        constants = fix_inputs(graph, image, fixed, [])
    except ModelError:  # of an input that the chosen output may not need: canonicalisation knows
        return Probe(model, source_input(image, size, {}, channels).shape, {}, metadata)
    given = source_input(image, size, constants, channels)

    def answers(other: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
        return _answers(other, given)

    try:
        whole = answers(model)
    except Exception:  # noqa: BLE001 - of any kind; verification runs it again, and says why it fails
        whole = {}
    outputs = {name: values[:, 0] for name, values in whole.items()}
    return Probe(model, given.shape, outputs, metadata, whole, answers, given.batch)


def _answers(model: onnx.ModelProto, given: SourceInput) -> dict[str, NDArray[np.float32]]:
    """Return each output ``[F, …]`` that has the same shape on each of F frames."""
    inputs = {value.name for value in model.graph.input}
    rows: dict[str, list[NDArray[np.float32]]] = {}
    session = SourceSession(model)
    for x in frame_images(given.shape):
        feed = {name: value for name, value in given.feed(x).items() if name in inputs}
        for name, value in zip(model.graph.output, session.run(None, feed), strict=True):
            rows.setdefault(name.name, []).append(np.asarray(value))
    return {name: np.stack(values) for name, values in rows.items() if _alike(values)}


def _alike(values: list[NDArray[np.float32]]) -> bool:
    """Whether an output has the same shape on each frame, with a batch in front that is not empty."""
    return all(value.shape == values[0].shape and value.ndim > 0 and len(value) for value in values)
