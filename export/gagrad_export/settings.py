"""What follows from the options of an export and the model: the manifest's input and output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.input import RESAMPLING, Colour, InputSpec
from gagrad_edge.manifest import MethodSpec, Numbers
from gagrad_edge.output import OutputSpec, SegmentationSpec
from gagrad_export.arrange.detection import with_background
from gagrad_export.arrange.segmentation import background_of, require_mask
from gagrad_export.channels import channel_count, channel_names, shown_channels
from gagrad_export.options import InputOptions
from gagrad_export.reading import read_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_export.arrange import Arranged, Stated
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.options import OutputOptions
    from gagrad_export.reading import Scores


def checked_method(method: MethodSpec) -> MethodSpec:
    """Return ``method`` if each of its values is in range. Raises SettingError."""
    try:
        return msgspec.convert(msgspec.to_builtins(method), MethodSpec)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise SettingError(what, where=place.rstrip("`") or "method") from error


def input_spec(
    model: Canonical,
    options: InputOptions = InputOptions(),  # noqa: B008 - frozen
    *,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> InputSpec:
    """Return the input specification for the model's images. Raises SettingError."""
    channels, height, width = model.input_shape
    if model.source_input.pixels and (mean is not None or std is not None):
        raise SettingError(
            "the model takes uint8 pixels and normalises them itself",
            where="mean, std",
            hint="leave `mean` and `std` out",
        )
    colour = _colour(options, channels)
    extra: dict[str, Any] = {}
    if colour == "channels":
        ordered = channel_names(channels if options.channels is None else options.channels)
        extra = {"channel_names": ordered, "shown": shown_channels(ordered, options.shown)}
    elif options.shown is not None:
        raise SettingError(
            f"it chooses among channels that are no colours, and the model takes {colour}",
            where="shown",
            hint="add `colour=channels`, or leave it out",
        )
    means = _per_channel("mean", mean, 0.0, channels)
    stds = _per_channel("std", std, 1.0, channels)
    if max(map(abs, means)) > 2 or max(stds) > 2:
        raise SettingError(
            "mean and std are in pixel values from 0 to 1, and these look like 0 to 255",
            where="mean, std",
            hint=f"divide them by 255: `mean={_by_255(means)}` `std={_by_255(stds)}`",
        )
    try:
        return InputSpec(
            height=height,
            width=width,
            colour=colour,
            mean=means,
            std=stds,
            bit_depth=options.bit_depth,
            bayer=options.bayer,
            **extra,
            **_resizing(options),
        )
    except ValueError as error:
        named = [name for name in ("mean", "std", "bayer", "resize_to") if name in str(error).lower()]
        raise SettingError(str(error), where=", ".join(named or ["size"])) from error


def _colour(options: InputOptions, channels: int) -> Colour:
    """Return the order of the model's ``channels``. Raises SettingError where it is not the one asked for."""
    usual: Colour = {1: "mono", 3: "rgb"}.get(channels, "channels")  # type: ignore[assignment]
    colour = options.colour or (usual if options.channels is None else "channels")
    count = channel_count(options.channels)
    if count not in (None, channels):
        raise SettingError(f"the model takes {channels} channels, not {count}", where="channels")
    if colour != "channels" and channels != (1 if colour == "mono" else 3):
        raise SettingError(
            f"the model takes {channels} channel(s), which is not {colour}",
            where="colour",
            choices={1: ["mono", "channels"], 3: ["rgb", "bgr", "channels"]}.get(channels, ["channels"]),
        )
    return colour


def output_names(
    model: Canonical, classes: Sequence[str] | str | Path | None, arranged: Arranged | None = None
) -> list[str]:
    """Return the names of the model's classes, empty where none are known. Raises SettingError.

    ``classes`` is what the user gives. A text reader's characters are complete in ``arranged``.
    """
    if arranged is not None and arranged.sequence is not None:
        return list(arranged.classes)
    detection = None if arranged is None else arranged.detection
    background = None if detection is None else detection.background
    given = class_names(arranged.classes if arranged is not None and classes is None else classes)
    names = list(with_background(given, model.score_shape[0], background))
    if names and len(names) != model.score_shape[0]:
        raise SettingError(
            f"{len(names)} class names for a model with {model.score_shape[0]} outputs",
            where="classes",
            hint="give one name per output, in the model's order, one on a line",
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingError(
            f"class names occur twice: {', '.join(repeated)}",
            where="classes",
            hint="make each name unique, so that a target can be chosen by it",
        )
    return names


def output_spec(
    model: Canonical,
    options: OutputOptions,
    arranged: Arranged,
    *,
    names: list[str],
    scores: Scores,
    stated: Stated | None = None,
) -> tuple[OutputSpec, str]:
    """Return the output specification and the evidence for it. Raises SettingError.

    ``arranged`` is what the task's finder knows. ``names`` are the classes' names, and
    ``scores`` returns the scores on test frames, and ``stated`` is what the model's files state: see
    ``read_output``.
    """
    reading = read_output(
        model,
        activation=options.activation,
        task=arranged.task or options.task,
        named=bool(names),
        scores=scores,
        stated=stated,
    )
    options.check_task(reading.task)
    evidence, segmentation = arranged.evidence or reading.evidence, arranged.segmentation
    if arranged.task is not None and stated is not None and stated.task not in (None, arranged.task):
        evidence += f"; {stated.stated_by} states {stated.task}, which its outputs contradict"
    if reading.task == "segmentation":
        require_mask(model.score_shape, reading.activation, scores)
        background, why = background_of(names, model.score_shape[0], reading.activation, options.background)
        segmentation, evidence = SegmentationSpec(background), f"{evidence}; {why}"
    spec = OutputSpec(
        name=arranged.shown_name or model.source_output.name,
        shape=list(model.score_shape),
        activation=reading.activation,
        classes=names,
        task=reading.task,
        unit=options.unit,
        detection=arranged.detection,
        segmentation=segmentation,
        anomaly=arranged.anomaly,
        sequence=arranged.sequence,
    )
    return spec, f"{reading.task}: {evidence}"


def check_precisions(
    precisions: Sequence[str], targets: Sequence[str] = (), *, straight_through: int = 0
) -> None:
    """Refuse precisions that a bundle cannot offer beside float32. Raises SettingError.

    ``straight_through`` is the number of the model's quantisers.
    """
    for precision in precisions:
        if precision not in get_args(Numbers):
            raise SettingError(f"no precision {precision!r}", where="precisions", choices=get_args(Numbers))
        if precision == "bfloat16" and "openvino" not in targets:
            raise SettingError(
                "bfloat16 is offered for OpenVINO only: its 8 significant bits serve some models and not "
                "others, and OpenVINO is where it is measured; TensorRT refuses ConvTranspose in it",
                where="precisions",
                hint="add `targets=openvino`, or take float16, whose small range is met by scaling",
            )
        if precision != "float32" and straight_through:
            raise SettingError(
                f"a quantised model has no {precision} form: its values round to other steps than the "
                "integers do",
                where="precisions",
                hint="leave `precisions` out, or export the float model that it was made from",
            )


def fixed_inputs(settings: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Return the constants of ``NAME=VALUE`` texts by name, for ``InputOptions.fixed``. Raises SettingError.

    VALUE is a number, several numbers with commas, or the path of an .npy file.
    """
    values: dict[str, NDArray[np.generic]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        try:
            if not equals or not name:
                raise ValueError("there is no NAME= in front")
            if text.endswith(".npy"):
                values[name] = np.load(text, allow_pickle=False)
            else:
                numbers = np.array([float(item) for item in text.split(",")])
                values[name] = numbers if "," in text else numbers.reshape(())
        except (OSError, ValueError) as error:
            raise SettingError(
                f"{setting!r} cannot be used ({error})",
                where="fixed",
                hint="give NAME=VALUE: a number, numbers with commas, or the path of an .npy file",
            ) from error
    return values


def class_names(classes: Sequence[str] | str | Path | None) -> list[str]:
    """Return the names of a list, or of a text file with one name on each line. Raises SettingError."""
    if classes is None:
        return []
    if not isinstance(classes, (str, Path)):
        return [str(name) for name in classes]
    try:
        text = Path(classes).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"the class names cannot be read ({error})",
            where=str(classes),
            hint="give a UTF-8 text file with one class name on each line",
        ) from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise SettingError(
            "the file has no class names",
            where=str(classes),
            hint="give a text file with one class name on each line, or leave `classes` out",
        )
    return names


def _resizing(options: InputOptions) -> dict[str, Any]:
    """Return the fields of the manifest's input about resizing; of a library's, nothing is left open."""
    known: dict[str, Any] = {
        "resize": options.resize or "stretch",
        "resize_to": options.resize_to,
        "crop_ratio": options.crop_ratio,
        "pad_value": options.pad_value or 0,
        "pad_place": options.pad_place or "centre",
    }
    if options.semantics is None:
        return known
    if options.resize == "crop" and options.resize_to is None and options.crop_ratio is None:
        known["crop_ratio"] = 1.0
    interpolation = options.interpolation or "linear"
    by_itself = RESAMPLING[options.semantics][interpolation][0]
    antialias = by_itself if options.antialias is None else options.antialias
    return {**known, "semantics": options.semantics, "interpolation": interpolation, "antialias": antialias}


def _per_channel(
    parameter: str, values: Sequence[float] | None, default: float, channels: int
) -> list[float]:
    given = [default] if values is None else [float(value) for value in values]
    if len(given) == 1:
        return given * channels
    if len(given) != channels:
        raise SettingError(
            f"{len(given)} values for {channels} channels",
            where=parameter,
            hint="give one per channel, or one for all",
        )
    return given


def _by_255(values: Sequence[float]) -> list[float]:
    return [float(f"{value / 255:.4g}") for value in values]
