"""What the user says about a model, checked: input, normalisation, classes, output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import Activation, Bayer, Colour, InputSpec, OutputSpec, Resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_export.canonicalise import Canonical


def input_spec(
    model: Canonical,
    *,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    colour: Colour | None,
    resize: Resize,
    bit_depth: int,
    bayer: Bayer | None = None,
) -> InputSpec:
    """Return the input specification for the model's images. Raises SettingError."""
    channels, height, width = model.input_shape
    if model.source_input.pixels and (mean is not None or std is not None):
        raise SettingError(
            "the model takes uint8 pixels and normalises them itself",
            where="--mean/--std",
            hint="leave --mean and --std out",
        )
    colour = colour or ("mono" if channels == 1 else "rgb")
    if (colour == "mono") != (channels == 1):
        raise SettingError(
            f"the model takes {channels} channel(s), which is not {colour}",
            where="--colour",
            choices=["mono"] if channels == 1 else ["rgb", "bgr"],
        )
    means = _per_channel("--mean", mean, 0.0, channels)
    stds = _per_channel("--std", std, 1.0, channels)
    if max(map(abs, means)) > 2 or max(stds) > 2:
        raise SettingError(
            "mean and std are in pixel values from 0 to 1, and these look like 0 to 255",
            where="--mean/--std",
            hint=f"divide them by 255: --mean {_by_255(means)} --std {_by_255(stds)}",
        )
    try:
        return InputSpec(
            height=height,
            width=width,
            colour=colour,
            mean=means,
            std=stds,
            resize=resize,
            bit_depth=bit_depth,
            bayer=bayer,
        )
    except ValueError as error:
        raise SettingError(str(error), where="--size, --mean, --std or --bayer") from error


def output_spec(
    model: Canonical, *, activation: Activation | None, classes: Sequence[str] | str | Path | None
) -> OutputSpec:
    """Return the output specification. Raises SettingError.

    Without ``activation``: the one found behind the scores; else softmax for several scores, none for one.
    """
    several = model.score_shape[0] > 1
    found = activation or model.tail or ("softmax" if several else "none")
    names = class_names(classes)
    if names and len(names) != model.score_shape[0]:
        raise SettingError(
            f"{len(names)} class names for a model with {model.score_shape[0]} outputs",
            where="--classes",
            hint="give one name per output, in the model's order, one on a line",
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingError(
            f"class names occur twice: {', '.join(repeated)}",
            where="--classes",
            hint="make each name unique, so that a target can be chosen by it",
        )
    return OutputSpec(
        name=model.source_output.name, shape=list(model.score_shape), activation=found, classes=names
    )


def check_precisions(precisions: Sequence[str], *, straight_through: int = 0) -> None:
    """Refuse what a bundle cannot hold beside float32. Raises SettingError.

    ``straight_through`` is the number of the model's quantisers.
    """
    for precision in precisions:
        if precision == "bfloat16":
            raise SettingError(
                "bfloat16 is not offered: with its 8 significant bits the gradient's cosine to float32 was "
                "0.967 to 0.996 where float16 had 0.996 and more, and TensorRT refuses ConvTranspose in it",
                where="--precision bf16",
                hint="take fp16; its small range is met by scaling the gradient",
            )
        if precision not in ("float32", "float16"):
            raise SettingError(
                f"no precision {precision!r}", where="precisions", choices=["float32", "float16"]
            )
        if precision == "float16" and straight_through:
            raise SettingError(
                "a quantised model has no float16 form: in half its values round to other steps than the "
                "integers do",
                where="--precision fp16",
                hint="leave --precision out, or export the float model that it was made from",
            )


def fixed_inputs(settings: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Return the constants that ``NAME=VALUE`` settings give: a number, several with commas, or an .npy file.

    Raises SettingError.
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
                where="--fix",
                hint="give NAME=VALUE: a number, numbers with commas, or the path of an .npy file",
            ) from error
    return values


def class_names(classes: Sequence[str] | str | Path | None) -> list[str]:
    """Return the names given as a list, or in a text file with one name on each line."""
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
    return [line.strip() for line in text.splitlines() if line.strip()]


def _per_channel(option: str, values: Sequence[float] | None, default: float, channels: int) -> list[float]:
    given = [default] if values is None else [float(value) for value in values]
    if len(given) == 1:
        return given * channels
    if len(given) != channels:
        raise SettingError(
            f"{len(given)} values for {channels} channels",
            where=option,
            hint="give one per channel, or one for all",
        )
    return given


def _by_255(values: Sequence[float]) -> str:
    return " ".join(f"{value / 255:.4g}" for value in values)
