"""Check of a detector's ``predict``: boxes and probabilities against the source's own outputs, on frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_edge import abi
from gagrad_edge.errors import VerificationError
from gagrad_export.verify.cause import known_cause
from gagrad_export.verify.detector_reference import read_boxes, read_probabilities
from gagrad_export.verify.frame_scores import frame_images
from gagrad_export.verify.gradient import model_input
from gagrad_export.verify.sessions import SourceSession, open_session
from gagrad_export.verify.source import activated, forward_tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.output import OutputSpec
    from gagrad_export.arrange.layout import Layout
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source

    Array = NDArray[np.float32]
    Outputs = Mapping[str, NDArray[Any]]


def verify_detector(
    predict: GraphFile, source: Source, model: Canonical, spec: InputSpec, output: OutputSpec, layout: Layout
) -> float:
    """Return the largest relative error on frames of different content. Raises VerificationError.

    Boxes are compared relative to the image's longer side, probabilities as they are.
    """
    session = open_session(predict, "predict")
    answers = _answers(source, model, layout)
    allowed, worst = forward_tolerance(model), 0.0
    names = {"softmax": "Softmax", "sigmoid": "Sigmoid", "none": None}
    for image in frame_images(spec.shape, colour=spec.colour):
        scores, boxes = session.run([abi.SCORES, abi.BOXES], {abi.IMAGE: image})
        outputs = answers(model_input(image, spec))
        chances = activated(scores[0].astype(np.float64), names[output.activation])
        expected_chances = read_probabilities(layout, outputs)
        error = float(np.abs(chances - expected_chances.T).max())
        if not error <= allowed:
            again = _answers(source, model, layout, as_written=True)(model_input(image, spec))
            _require_steady(expected_chances, read_probabilities(layout, again), allowed, source)
        _require(error, allowed, "probabilities", source)
        with np.errstate(over="ignore"):  # the exponential of an untrained model
            expected = read_boxes(layout, outputs, (spec.height, spec.width))
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        span = max(spec.height, spec.width, float(largest))
        away = _difference(boxes[0], expected) / span
        _require(away, allowed, "boxes", source)
        worst = max(worst, error, away)
    return worst


def _difference(boxes: Array, expected: NDArray[np.float64]) -> float:
    """Return the largest difference; an exponential that exceeds float32 is infinite in both."""
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(boxes - expected)
        same = boxes == expected.astype(np.float32)
    return float(np.where(same, 0, away).max())


def _answers(
    source: Source, model: Canonical, layout: Layout, *, as_written: bool = False
) -> Callable[[Array], Outputs]:
    """Return a function from the model input to the values that the layout reads.

    A torch module is asked itself, a file by ONNX Runtime; with ``as_written`` without its optimisations.
    """
    if all(name in source.answers for name in layout.values):
        return lambda x: {name: source.answers[name](x) for name in layout.values}
    copy = ir.serde.deserialize_model(source.model)
    graph = copy.graph
    values = {value.name: value for node in graph for value in node.outputs}
    graph.outputs[:] = [values[name] for name in layout.values]
    passes.RemoveUnusedNodesPass()(copy)
    needed = {value.name for value in graph.inputs}
    session = SourceSession(ir.serde.serialize_model(copy), as_written=as_written)

    def run(x: Array) -> Outputs:
        feed = {name: value for name, value in model.source_input.feed(x).items() if name in needed}
        found = session.run(list(layout.values), feed)
        # Of a batch of one, a value in front of a selection may have no axis for the batch.
        rows = [value if model.source_input.batch == 1 else value[:1] for value in found]
        return dict(zip(layout.values, rows, strict=True))

    return run


def _require_steady(
    one: NDArray[np.floating], other: NDArray[np.floating], allowed: float, source: Source
) -> None:
    """Raise VerificationError where the source itself answers otherwise in another order of computing."""
    away = float(np.abs(one - other).max())
    if away > allowed:
        raise VerificationError(
            f"the model's own probabilities differ by {away:.1e} between ONNX Runtime with its optimisations "
            f"and without (allowed {allowed:.1e}), on one of the test frames: rounding decides it, so "
            "nothing can confirm what a bundle would compute",
            where=source.name,
            hint="check that the trained weights were loaded: of random ones this is usual",
        )


def _require(error: float, allowed: float, what: str, source: Source) -> None:
    if not error <= allowed:
        cause = known_cause(source.model) or (
            "this is a defect of gagrad-edge: please report the model's operators, as `gagrad-edge export` "
            "lists them"
        )
        raise VerificationError(
            f"the {what} of predict differ from the model's own by {error:.1e} (allowed {allowed:.1e}), so "
            "nothing was written",
            where=source.name,
            hint=f"check the layout with `layout`; if it is right, {cause}",
        )
