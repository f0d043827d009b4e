"""A manifest in lines for people, as ``export`` and ``inspect`` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gagrad_edge.manifest import Manifest


def describe(manifest: Manifest) -> list[str]:
    """Return what the model takes and gives, how it is explained, and what was verified, one line each."""
    return [*_interface(manifest), *_model(manifest), *_verification(manifest)]


def _interface(manifest: Manifest) -> Iterator[str]:
    spec, output, method = manifest.input, manifest.output, manifest.method
    shape, names = "×".join(map(str, output.shape)), len(output.classes) or "no"
    bayer = f", mono frames are {spec.bayer}" if spec.bayer else ""
    yield line(
        "input",
        f"{spec.width}×{spec.height} {spec.colour}, {spec.resize}, mean {_numbers(spec.mean)}, "
        f"std {_numbers(spec.std)}, 16-bit frames use {spec.bit_depth} bits{bayer}",
    )
    yield line("output", f"{output.name}: {shape}, {output.activation}, {names} class names, {output.task}")
    yield line(
        "method",
        f"{method.samples} samples, noise {method.noise_std:g}, percentile {method.percentile:g}, "
        f"chunk {method.chunk}",
    )


def _model(manifest: Manifest) -> Iterator[str]:
    model = manifest.model
    if model.straight_through:
        yield line(
            "quantised",
            f"{model.straight_through} quantisers; the gradient passes straight through their rounding",
        )
    for note in model.notes:
        yield line("model", note)
    if model.feature_layer is not None:
        layer = model.feature_layer
        yield line(
            "grad-cam",
            f"at {layer.name} ({layer.operator}): {layer.features} features on {layer.height}×{layer.width}",
        )


def _verification(manifest: Manifest) -> Iterator[str]:
    evidence = manifest.verification
    yield line(
        "verified",
        f"gradient {evidence.gradient_error:.1e} from {evidence.reference} (worst "
        f"{evidence.gradient_error_worst:.1e}), scores {evidence.forward_error:.1e}, batch rows "
        f"{evidence.batch_error:.1e}",
    )
    for check in evidence.precisions:
        yield line(
            check.precision,
            f"against float32: gradient cosine {check.gradient_cosine:.4f}, rank correlation of the maps "
            f"{check.map_correlation:.4f}, scores {check.scores_error:.1e}",
        )
    if (twin := evidence.float_twin) is not None:
        yield line(
            "float twin",
            f"gradient cosine {twin.gradient_cosine:.4f}, rank correlation of the maps "
            f"{twin.map_correlation:.4f}, scores {twin.scores_error:.1e}",
        )


def line(label: str, text: str) -> str:
    """Return one line of a summary, its label in a column of its own."""
    return f"  {label:<12s} {text}"


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
