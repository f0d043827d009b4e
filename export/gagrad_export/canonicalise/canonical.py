"""Canonical form: a model that PASSES have changed, and what is known of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch import BATCH
from gagrad_export.canonicalise.contract import run
from gagrad_export.canonicalise.findings import Known, Request, findings_of, start
from gagrad_export.canonicalise.fold.inference import supply_shapes
from gagrad_export.canonicalise.interface.ports import only_scores
from gagrad_export.canonicalise.interface.tail import activation_of
from gagrad_export.canonicalise.passes import PASSES
from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import ArrayLike

    from gagrad_edge.output import Activation
    from gagrad_export.canonicalise.interface.source import SourceInput, SourceOutput


@dataclass(frozen=True)
class Canonical:
    """A model in canonical form. ``graph`` is a template: copy it before changing it."""

    graph: ir.Graph
    score_shape: tuple[int, ...]
    """K…"""
    source_input: SourceInput
    source_output: SourceOutput
    precision: ir.DataType
    """The least exact floating-point type of the model as it was given; its own scores are as exact."""
    operators: dict[str, int]
    straight_through: int
    """How many quantisers the gradient passes straight through; 0 for a model in float."""
    notes: tuple[str, ...]
    """What was changed or assumed, in sentences for the user."""
    plain: str | None = None
    """Why the output is no probability though an activation lies in front of it."""
    beside: Mapping[str, Canonical] = field(default_factory=dict)
    """What ``predict`` gives beside the scores, by the ABI's name: each the same model with another output,
    whose ``score_shape`` is that output's."""

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.graph.opset_imports[""]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.source_input.shape

    @property
    def tail(self) -> Activation | None:
        """The activation that was found behind the scores; None when the model ends in scores."""
        return activation_of(self.source_output.activation)


def canonicalise(
    proto: onnx.ModelProto,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    class_axis: int | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    split: bool = True,
) -> Canonical:
    """Bring a model to canonical form with images of ``size = (H, W)``, by PASSES.

    ``channels`` is their number, None for what the model says. ``class_axis`` is the axis of the output that
    holds the classes; by default the one that a softmax runs over, or the first behind the batch. ``fixed``
    holds constants for the inputs that are not the image. Without ``split`` an activation at the end stays.
    Raises ModelError and SettingError.
    """
    model = _with_own_tensors(proto)
    scores = only_scores(model.graph.outputs) if output_name is None else None
    request = Request(
        size=size,
        channels=channels,
        input_name=input_name,
        output_name=output_name or scores,
        class_axis=class_axis,
        fixed=fixed or {},
        split=split,
    )
    start(model, request)
    if scores is not None:
        findings_of(model).notes.append(f"output {scores} has the scores: the others are indices or flags")
    run(model, PASSES)
    supply_shapes(model, Known.ALL)
    graph, findings = model.graph, findings_of(model)
    source, output = findings.source_input, findings.source_output
    assert source is not None and output is not None  # noqa: S101, PT018 - EnterImage and LeaveScores set them
    if not list(graph):
        raise ModelError(
            "nothing lies between the image and the output", hint="choose another with `output_name`"
        )
    notes = list(findings.notes)
    if source.fixed_batch:
        notes.append(f"the batch was fixed at {source.batch} and is free now (checked row by row)")
    if findings.precision != ir.DataType.FLOAT:
        notes.append(f"the model computes in {findings.precision.name.lower()}, its explanation in float32")
    operators = Counter(node.op_type for node in graph)
    return Canonical(
        graph=graph,
        score_shape=_score_shape(graph.outputs[0]),
        source_input=source,
        source_output=output,
        precision=findings.precision,
        operators=dict(sorted(operators.items())),
        straight_through=findings.straight_through,
        notes=tuple(notes),
        plain=findings.plain,
    )


def _with_own_tensors(proto: onnx.ModelProto) -> ir.Model:
    """Return the model with tensors of its own: passes rename weights, and ``proto`` is run later."""
    model = ir.serde.deserialize_model(proto)
    for value in [value for graph in model.graphs() for value in graph.initializers.values()]:
        tensor = value.const_value
        if tensor is not None and tensor.dtype != ir.DataType.STRING:
            value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    return model


def _score_shape(scores: ir.Value) -> tuple[int, ...]:
    batch, *rest = static_shape(scores) or [None]
    if batch is not None or not rest or None in rest:
        raise ModelError(
            f"the output has shape {scores.shape}, not [{BATCH}, K…] with a free batch",
            where=f"output {scores.name!r}",
            hint="choose another output with `output_name`, or export the model with a dynamic batch",
        )
    return tuple(dim for dim in rest if dim is not None)
