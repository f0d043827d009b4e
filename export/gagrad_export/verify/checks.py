"""Checks of a bundle's graphs before they are packaged; a bundle with a graph that fails is not written.

The checks run the very bytes that ship: scores against the source model, the gradient against autograd or
along segments, rows of a batch against the same rows alone, ``finalize`` and ``recover`` against numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from gagrad_edge.abi import CAMS, FINER_CAMS, IMAGE, PERTURBED
from gagrad_edge.errors import VerificationError
from gagrad_edge.manifest import Agreement, FeatureLayer, GraphKey, MethodSpec, PrecisionCheck, Verification
from gagrad_edge.method import reference
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.reference import State
from gagrad_export.assemble.passing import passing
from gagrad_export.canonicalise.batch.values import ONE_ROW
from gagrad_export.verify.agreement import agreement, run_samples
from gagrad_export.verify.answers import answers_of
from gagrad_export.verify.bfloat16 import verify_bfloat16
from gagrad_export.verify.cause import known_cause
from gagrad_export.verify.class_activation import sharing_refuted, verify_class_activation
from gagrad_export.verify.detector import verify_detector
from gagrad_export.verify.float_twin import twin_sessions
from gagrad_export.verify.frame import frame_image, reference_frame
from gagrad_export.verify.frame_scores import frame_images
from gagrad_export.verify.gradient import (
    KINK_TOLERANCE,
    NOISE_STD,
    VANISHED,
    GradientErrors,
    Point,
    against_segments,
    model_input,
)
from gagrad_export.verify.half import verify_half
from gagrad_export.verify.perturbation import verify_perturbations
from gagrad_export.verify.question import default_question
from gagrad_export.verify.sessions import Sessions, open_session
from gagrad_export.verify.source import QUANTISED_TOLERANCE, forward_error, forward_tolerance
from gagrad_export.verify.torch_reference import against_module, check_answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.output import OutputSpec
    from gagrad_edge.selftest import Answer
    from gagrad_export.arrange.layout import Layout
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source

    Array = NDArray[np.float32]

BATCH_TOLERANCE, MAP_TOLERANCE = 1e-4, 1e-5
_ROWS = 4


@dataclass(frozen=True)
class Verified:
    """The measured numbers, and the case that the bundle's self-test repeats."""

    numbers: Verification
    frame: NDArray[np.uint8]
    target: tuple[int, ...]
    score: float
    """Score of the target."""
    saliency: Array
    """The expected map, [H, W]."""
    magnitude: float
    """Largest value of the map before it was scaled, per sample."""
    answers: tuple[Answer, ...]
    """What each graph answers to the self-test's questions."""
    notes: tuple[str, ...] = ()
    """What the checks found, in sentences for the user."""
    without_maps: str = ""
    """Why the graph ``cam`` must be left out; empty where its maps are right, and where there is none."""
    without_finer: str = ""
    """Why the maps of the finer layer must be left out, likewise."""
    without_sharing: str = ""
    """Why ``cam`` needs a forward pass of its own, where graphs share one and it is not confirmed."""


def verify(
    graphs: Mapping[GraphKey, GraphFile],
    source: Source,
    model: Canonical,
    spec: InputSpec,
    method: MethodSpec,
    output: OutputSpec,
    feature_layers: Sequence[FeatureLayer] = (),
    finer_feature_layer: FeatureLayer | None = None,
    layout: Layout | None = None,
    *,
    maps_asked_for: bool = False,
    bfloat16: bool = False,
) -> Verified:
    """Check ``graphs`` and return the evidence. Raises VerificationError.

    ``bfloat16``: whether to measure it in OpenVINO.
    ``layout`` says how a detector's own values hold its detections. Class activation maps that cannot be
    confirmed are an error where they are ``maps_asked_for``; else the bundle does without.
    """
    sessions = Sessions(graphs)
    frame = reference_frame(spec.height, spec.width, spec.channels)
    image = frame_image(frame, colour=spec.colour)
    scores = sessions.predict(image)[0]
    if not np.isfinite(scores).all():
        raise VerificationError(
            "the model's scores are not finite numbers (NaN or infinity) on an ordinary image",
            hint="check the weights, and that `mean` and `std` are the ones the model was trained with",
        )
    question = default_question(scores, output)
    target = question.target
    point = Point(image, model_input(image, spec), question.element)
    asked = replace(point, cotangent=question.cotangent)

    quantised = model.straight_through > 0
    forward = forward_error(source, model, point.x, _as_written(graphs, image) if quantised else scores)
    allowed = forward_tolerance(model)
    _require(
        forward <= allowed,
        f"predict differs from the model by {forward:.1e} relative (allowed {allowed:.1e})",
        known_cause(source.model),
    )
    forward = max(forward, *_beside_errors(graphs, source, model, spec, output, layout))
    state = run_samples(sessions, point, method)
    alike = None
    reference_kind: Literal["autograd", "finite-differences"] = "finite-differences"
    notes: tuple[str, ...] = ()
    _require_gradient(state, target)
    if quantised:
        twin = twin_sessions(model, spec)
        gradient = against_segments(twin, asked, spec)
        alike = Agreement(
            **agreement(
                (scores[None], state),
                (twin.predict(image), run_samples(twin, point, method)),
                method.percentile,
            )
        )
    elif source.kind == "torch":
        checked = against_module(sessions, asked, spec, source, model, layout)
        gradient, reference_kind, notes = checked.errors, checked.reference, checked.notes
        check_answers(sessions, point, spec, source, model)
    else:
        gradient = against_segments(sessions, asked, spec, operators=model.operators)
    if not gradient.passed and reference_kind != "autograd":
        _require_visible(state, scores, point)
    _require(
        gradient.passed,
        f"the gradient is off by {gradient.median:.1e} (allowed {gradient.tolerance:.1e}), "
        f"at worst {gradient.worst:.1e}",
        known_cause(source.model),
    )
    sessions.close("predict")
    batch = _batch_error(sessions, point)
    _require(
        batch <= (QUANTISED_TOLERANCE if quantised else BATCH_TOLERANCE),
        f"rows of a batch differ from the same rows alone by {batch:.1e}",
        known_cause(source.model) or (ONE_ROW if model.source_input.batch > 1 else None),
    )
    sessions.close("accumulate")
    saliency, magnitude = _map(sessions, state, method)
    _check_recover(sessions, image, saliency, method)
    _check_other_targets(graphs, point, method, state)
    in_half = any(key.precision == "float16" for key in graphs)
    precisions = [verify_half(graphs, point, method, state)] if in_half else []
    precisions += [verify_bfloat16(graphs, point, method)] if bfloat16 else []
    without_maps, without_finer = _without(
        graphs, model, spec, point, feature_layers, finer_feature_layer, required=maps_asked_for
    )
    perturbed = graphs.get(GraphKey("accumulate", PERTURBED))
    if perturbed is not None:
        verify_perturbations(perturbed, sessions, model, spec, point)
    return Verified(
        numbers=_numbers(
            reference_kind,
            gradient,
            (forward, allowed),
            batch,
            precisions,
            alike,
        ),
        frame=frame,
        target=target,
        score=float(scores[target]),
        saliency=saliency,
        magnitude=magnitude,
        answers=answers_of(
            graphs,
            image,
            output.shape,
            target,
            [one.shape for one in passing(model, feature_layers, finer_feature_layer)],
        ),
        notes=notes,
        without_maps=without_maps,
        without_finer=without_finer,
        without_sharing="" if without_maps else sharing_refuted(graphs, spec, point),
    )


def _beside_errors(
    graphs: Mapping[GraphKey, GraphFile],
    source: Source,
    model: Canonical,
    spec: InputSpec,
    output: OutputSpec,
    layout: Layout | None,
) -> list[float]:
    """Return how far what ``predict`` gives beside the scores is off. Raises VerificationError."""
    predict = graphs[GraphKey("predict")]
    if layout is not None:
        return [0.0, verify_detector(predict, source, model, spec, output, layout)]
    errors = [0.0]
    if model.beside:
        session = open_session(predict, "predict")
        for image in frame_images(spec.shape, colour=spec.colour):
            found = session.run(list(model.beside), {IMAGE: image})
            for (name, other), values in zip(model.beside.items(), found, strict=True):
                error = forward_error(source, other, model_input(image, spec), values[0])
                _require(
                    error <= forward_tolerance(model),
                    f"{name} of predict differs from the model's own by {error:.1e} relative",
                )
                errors.append(error)
    return errors


def _without(
    graphs: Mapping[GraphKey, GraphFile],
    model: Canonical,
    spec: InputSpec,
    point: Point,
    layers: Sequence[FeatureLayer],
    finer: FeatureLayer | None,
    *,
    required: bool,
) -> tuple[str, str]:
    """Return why the maps of ``cam`` must be left out, and why those of its finer layer; else empty."""
    if not layers:
        return "", ""
    check = partial(_check_maps, graphs[GraphKey("cam")], model, spec, point=point)
    without = check(layers, required=required)
    if without or finer is None:
        return without, ""
    return "", check([finer], output=FINER_CAMS, required=False)


def _check_maps(
    cam: GraphFile,
    model: Canonical,
    spec: InputSpec,
    layers: Sequence[FeatureLayer],
    *,
    point: Point,
    output: str = CAMS,
    required: bool,
) -> str:
    """Return why the maps ``output`` cannot be confirmed; empty where they are. Raises if ``required``."""
    try:
        verify_class_activation(cam, model, spec, layers, point, output)
    except VerificationError as error:
        if required:
            raise
        which = "class activation maps" if output == CAMS else "finer class activation maps"
        return f"there are no {which}: {error.what}"
    return ""


def _as_written(graphs: Mapping[GraphKey, GraphFile], image: Array) -> Array:
    """Return the scores of ``predict`` without ONNX Runtime's optimisations.

    For quantised models, because integer kernels and sums in another order round to other steps.
    """
    session = open_session(graphs[GraphKey("predict")], "predict", as_written=True)
    scores: Array = session.run(None, {IMAGE: image})[0][0]
    return scores


def _numbers(
    reference: Literal["autograd", "finite-differences"],
    gradient: GradientErrors,
    forward: tuple[float, float],
    batch: float,
    precisions: list[PrecisionCheck],
    twin: Agreement | None,
) -> Verification:
    return Verification(
        reference=reference,
        gradient_error=_digits(gradient.median),
        gradient_error_worst=_digits(gradient.worst),
        gradient_tolerance=_digits(gradient.tolerance),
        forward_error=_digits(forward[0]),
        forward_tolerance=forward[1],
        batch_error=_digits(batch),
        precisions=precisions,
        float_twin=twin,
    )


def _batch_error(sessions: Sessions, point: Point) -> float:
    """Return the largest relative difference between a batch and its rows run alone: scores and state."""
    (noise,) = noise_chunks(2, _ROWS, _ROWS, point.image.shape[1:])
    together, scores = sessions.accumulate(point.image, noise, NOISE_STD, point.cotangent)
    alone, state = [], State.empty(point.image.shape[1:])
    for row in range(_ROWS):
        state, row_scores = sessions.accumulate(
            point.image, noise[row : row + 1], NOISE_STD, point.cotangent, state
        )
        alone.append(row_scores)
    pairs = [(scores, np.concatenate(alone))]
    pairs += [(together.abs_sum, state.abs_sum), (together.mean, state.mean)]
    return max(float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-30) for a, b in pairs)


def _require_gradient(state: State, target: tuple[int, ...]) -> None:
    """Raise VerificationError for a gradient that is not finite, or zero for every sample.

    A gradient of zeros would agree with another gradient of zeros, whatever is wrong.
    """
    _require(
        bool(np.isfinite(state.abs_sum).all()),
        "the gradient is not finite (NaN or infinity) on an ordinary image",
    )
    count = np.float32(state.count)
    with np.errstate(over="ignore"):
        guided = state.abs_sum / count * (state.m2 / count)
    if not np.isfinite(guided).all():
        largest = float(state.abs_sum.max() / count)
        raise VerificationError(
            f"the gradient is as large as {largest:.0e} on an ordinary image, and its product with its "
            "variance exceeds float32",
            hint="check that trained weights were loaded, and that `mean` and `std` are those of training",
        )
    if float(state.abs_sum.max()) <= VANISHED:
        raise VerificationError(
            f"score {list(target)}, the highest on an ordinary image, has a gradient of zero on each of its "
            f"{state.count} noisy samples: as far as gradients tell, it does not depend on the image",
            hint="check that the weights were loaded (a last layer of zeros?), that `mean` and `std` are "
            "those of the training (else all activations may be off), and that the output is a score: behind "
            "ArgMax, a threshold or a limit, choose one in front of it with `output_name`",
        )


def _require_visible(state: State, scores: Array, point: Point) -> None:
    """Raise VerificationError where all pixels together change the scores by less than their rounding.

    No difference of scores can confirm such a gradient.
    """
    change = float(state.abs_sum.astype(np.float64).sum()) / state.count * float(point.spread)
    if change <= float(np.finfo(np.float32).eps) * float(np.abs(scores).max()):
        raise VerificationError(
            "the scores hardly depend on the image: all its pixels together change the highest by "
            f"{change:.0e} of {float(scores.max()):.1e}, less than its rounding, so the gradient cannot be "
            "confirmed and nothing was written",
            hint="check that trained weights were loaded, and that `mean` and `std` are those of the "
            "training; a torch module, unlike a file, can be verified against autograd all the same",
        )


def _map(sessions: Sessions, state: State, method: MethodSpec) -> tuple[Array, float]:
    saliency, scale = sessions.finalize(state, method.percentile)
    error = float(np.abs(saliency - reference.finalize(state, method.percentile)).max())
    _require(error <= MAP_TOLERANCE, f"finalize differs from the reference by {error:.1e}")
    return saliency, float(scale[1])


def _check_other_targets(
    graphs: Mapping[GraphKey, GraphFile], point: Point, method: MethodSpec, state: State
) -> None:
    """Compare ``accumulate`` in other forms with the portable one, whose final ``state`` is given."""
    forms = {
        key.target: file for key, file in graphs.items() if key == GraphKey("accumulate", target=key.target)
    }
    del forms[GraphKey("accumulate").target]
    for target, accumulate in forms.items():
        other = run_samples(Sessions({GraphKey("accumulate"): accumulate}), point, method)
        error = float(np.linalg.norm(other.mean - state.mean) / np.linalg.norm(state.mean))
        _require(
            error <= KINK_TOLERANCE,
            f"the gradient written for {target} differs by {error:.1e}",
        )


def _check_recover(sessions: Sessions, image: Array, saliency: Array, method: MethodSpec) -> None:
    levels = reference.rcap_levels(method.rcap_lower_bound, method.rcap_interval)
    expected, ratio = reference.recover(image[0], saliency, levels)
    recovered, measured = sessions.recover(image, saliency)
    error = max(float(np.abs(recovered - expected).max()), float(np.abs(measured - ratio).max()))
    _require(error <= MAP_TOLERANCE, f"recover differs from the reference by {error:.1e}")


def _require(holds: bool, what: str, mend: str | None = None) -> None:
    if not holds:
        raise VerificationError(
            f"{what}, so nothing was written",
            hint=mend
            or "this is a defect of gagrad-edge or an unusual model: please report the model's operators, "
            "as `gagrad-edge export` lists them",
        )


def _digits(value: float) -> float:
    """Round to two significant digits: further digits depend on the machine, not on the bundle."""
    return float(f"{value:.1e}")
