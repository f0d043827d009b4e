"""A manifest in lines for people, as ``export`` and ``inspect`` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.method.noise_level import USUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import Checked, FeatureLayer, Manifest, NoiseLevel


def describe(manifest: Manifest) -> list[str]:
    """Return what the model takes and gives, how it is explained, and what was verified, one line each."""
    said = agreement(manifest.checked) if manifest.checked is not None else [_UNCHECKED]
    checked = [line("checked", text) for text in said]
    return [*_interface(manifest), *_model(manifest), *_verification(manifest), *checked]


_UNCHECKED = (
    "no: nobody has seen whether pictures are fed right; labelled images tell, with `gagrad-edge check`"
)


def counted(number: int, noun: str) -> str:
    """Return ``number`` and ``noun``, in the plural unless it is one: ``1 image``, ``0 images``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def filled(message: str, /, **values: object) -> str:
    """Return ``message`` with ``values`` in its places; the device side has one that translates it, too."""
    return message.format(**values)


def agreement(checked: Checked, text: Callable[..., str] = filled) -> list[str]:
    """Return how labelled images were answered: in all, label by label, and what is suspected.

    ``text`` fills the values into a message.
    """
    share = text(
        "{share} %; {required} % are required",
        share=f"{checked.agree / checked.images * 100:.0f}",
        required=f"{checked.at_least * 100:.0f}",
    )
    total = {"agree": checked.agree, "number": checked.images, "share": share}
    said = text("{agree} of {number} labelled images are answered as labelled ({share})", **total)
    if checked.images == 1:
        said = text("{agree} of {number} labelled image is answered as labelled ({share})", **total)
    lines = [said]
    for label in dict.fromkeys(pair.label for pair in checked.confusion):
        pairs = [pair for pair in checked.confusion if pair.label == label]
        right = sum(pair.images for pair in pairs if pair.answer == label)
        words = text("{right} of {count} as labelled", right=right, count=sum(pair.images for pair in pairs))
        for pair in pairs:
            if pair.answer != label:
                words = text(
                    "{words}, {count} as {answer}", words=words, count=pair.images, answer=pair.answer
                )
        lines.append(f"{label}: {words}")
    if len({pair.answer for pair in checked.confusion}) == 1 < len(lines) - 1:
        lines.append(text("the answer is {answer} whatever the image", answer=checked.confusion[0].answer))
    if checked.suspect:
        lines.append(
            text("likely mistake: the pictures should be fed with {suspect}", suspect=checked.suspect)
        )
    elif checked.agree < checked.images:
        lines.append(text("none of the usual mistakes in feeding pictures explains the other answers"))
    return lines


def _interface(manifest: Manifest) -> Iterator[str]:
    spec, output, method = manifest.input, manifest.output, manifest.method
    shape, names = "×".join(map(str, output.shape)), len(output.classes)
    known = counted(names, "class name") if names else "no class names"
    bayer = f", mono frames are {spec.bayer}" if spec.bayer else ""
    yield line(
        "input",
        f"{spec.height} high, {spec.width} wide, {_channels(spec)}, {_resizing(spec)}, "
        f"mean {_numbers(spec.mean)}, std {_numbers(spec.std)}, "
        f"16-bit frames use {spec.bit_depth} bits{bayer}",
    )
    yield line("output", f"{output.name}: {shape}, {output.activation}, {known}, {output.task}")
    yield line(
        "method",
        f"{method.samples} samples, noise {method.noise_std:g}, percentile {method.percentile:g}, "
        f"chunk {method.chunk}",
    )
    if method.operator is not None:
        yield line("operator", _noise(method.operator))


def _noise(level: NoiseLevel) -> str:
    """Return the noise of the preset ``operator`` and how it is known, in words."""
    kept = f"noise {level.noise_std:g}, at which {level.kept * 100:.0f} % of the noisy copies"
    if not level.guessed:
        return f"{kept} of {counted(level.images, 'image')} keep their answer"
    return (
        f"{kept} of made-up frames keep their answer: a guess; {USUAL:g} is used until images of parts are "
        "measured (`calibrate`)"
    )


def _channels(spec: InputSpec) -> str:
    """Return the order of the channels, in words; of channels that are no colours, their names."""
    if spec.colour != "channels":
        return spec.colour
    shown = ", ".join(spec.channel_names[index] for index in spec.shown)
    counted = f"{spec.channels} channels ({', '.join(spec.channel_names)}; pictures show {shown})"
    return counted if spec.channels > 1 else f"1 channel ({spec.channel_names[0]})"


def _resizing(spec: InputSpec) -> str:
    """Return how a frame is fitted to the image, in words, such as ``letterbox on grey 114``."""
    words: list[str] = [spec.resize]
    if spec.resize_to is not None:
        words.append(f"from a shorter side of {spec.resize_to}")
    elif spec.crop_ratio is not None:
        words.append(f"of {spec.crop_ratio:g}")
    if spec.resize == "letterbox" or spec.pad_value:
        words.append(f"on grey {spec.pad_value}")
    if spec.resize == "letterbox" and spec.pad_place != "centre":
        words.append(f"at the {spec.pad_place}")
    if spec.semantics is not None:
        smooth = "" if spec.antialias else ", no antialias"
        words.append(f"({spec.semantics} {spec.interpolation}{smooth})")
    return " ".join(words)


def _model(manifest: Manifest) -> Iterator[str]:
    model = manifest.model
    if model.straight_through:
        yield line(
            "quantised",
            f"{model.straight_through} quantisers; the gradient passes straight through their rounding",
        )
    for note in model.notes:
        yield line("model", note)
    for index, layer in enumerate(model.feature_layers):
        yield line("and" if index else "grad-cam", f"at {layer_text(layer)}")
    if model.finer_feature_layer is not None:
        yield line("and finer", f"at {layer_text(model.finer_feature_layer)}")


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
            f"{check.map_correlation:.4f}, scores {check.scores_error:.1e}"
            + (
                "" if check.place_moved is None else f", place 1 moved by {check.place_moved:.1%} of the side"
            ),
        )
    if (twin := evidence.float_twin) is not None:
        yield line(
            "float twin",
            f"gradient cosine {twin.gradient_cosine:.4f}, rank correlation of the maps "
            f"{twin.map_correlation:.4f}, scores {twin.scores_error:.1e}",
        )


def layer_text(layer: FeatureLayer) -> str:
    """Return name, operator and size of a feature layer, in words."""
    return (
        f"{layer.name} ({layer.operator}): {layer.features} features, "
        f"{layer.height} high and {layer.width} wide"
    )


def line(label: str, text: str) -> str:
    """Return one line of a summary, its label in a column of its own."""
    return f"  {label:<12s} {text}"


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
