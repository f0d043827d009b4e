"""Options of an export, and what follows from them and the model: the manifest's input and output."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np

from gagrad_edge.checking import AT_LEAST, check_share
from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import (
    RESAMPLING,
    Bayer,
    Colour,
    GraphTarget,
    InputSpec,
    Interpolation,
    MethodSpec,
    PadPlace,
    Resize,
    Semantics,
)
from gagrad_edge.output import Activation, OutputSpec, SegmentationSpec, Task
from gagrad_export.arrange.detection import with_background
from gagrad_export.arrange.layout import declared
from gagrad_export.arrange.segmentation import background_of, require_mask
from gagrad_export.channels import channel_count, channel_names, shown_channels
from gagrad_export.reading import read_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from gagrad_export.arrange import Arranged, Stated
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.reading import Scores


def _check_choice(parameter: str, value: str | None, choices: Any, *, optional: bool = False) -> None:
    """Raise SettingError unless ``value`` is one of the Literal ``choices``, or None where ``optional``."""
    if value not in get_args(choices) and not (optional and value is None):
        raise SettingError(f"there is no {parameter} {value!r}", where=parameter, choices=get_args(choices))


@dataclass(frozen=True)
class TorchFactory:
    """A function that returns the torch module to export, and the weights to load into the module."""

    reference: str
    """``package.module:factory``; the factory takes no argument."""
    weights: str | Path | None = None
    """State dict, a file that ``torch.save`` wrote; read with ``weights_only=True``: no code in it runs."""

    def __post_init__(self) -> None:
        """Refuse a reference to a file."""
        if not is_reference(self.reference):
            raise SettingError(
                f"{self.reference!r} names no factory, and only a factory's module takes weights",
                where="weights",
                hint="leave `weights` out, as an ONNX file holds its own; or give package.module:factory",
            )


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How a frame becomes the model's input, and what the model's other inputs get."""

    input_name: str | None = None
    """The input that is the image; needed when several could be."""
    fixed: Mapping[str, ArrayLike] = field(default_factory=dict)
    """A constant for each input that is not the image, by the input's name."""
    colour: Colour | None = None
    """Order of the image's channels; None is ``mono`` for one channel, ``rgb`` for three, and ``channels``
    for any other number, and where ``channels`` are given."""
    channels: int | Sequence[str] | None = None
    """Channels that are no colours, such as lights, cameras or bands: their number, or their names in the
    order of the model and of the frames; None where the model says how many there are."""
    shown: Sequence[str] | None = None
    """Of such channels the one that pictures show, or the three that they show as red, green and blue; None
    is the first."""
    resize: Resize | None = None
    """How a frame of another size is fitted; None is as the preprocessing says, else ``stretch``."""
    resize_to: int | None = None
    """For ``crop``: length of the frame's shorter side before the centre is cut."""
    crop_ratio: float | None = None
    """For ``crop``: the image's sides as a share of what the frame covers before the centre is cut."""
    semantics: Semantics | None = None
    """Library whose resampling is reproduced; None averages what shrinks, and is linear where it grows."""
    interpolation: Interpolation | None = None
    """Interpolation of that library; None is ``linear``."""
    antialias: bool | None = None
    """Whether shrinking takes all pixels into account; None is as the library does it, True for torch."""
    pad_value: int | None = None
    """Grey beside the frame, 0 to 255; None is as the preprocessing says, else 0."""
    pad_place: PadPlace | None = None
    """Where ``letterbox`` puts the frame; None is as the preprocessing says, else the centre."""
    preprocessing: str | Path | None = None
    """File of Hugging Face (``preprocessor_config.json``) or timm, or ``torchvision:NAME`` for a preset of
    torchvision's weights, that the size, mean, std, and the fields about resizing and colour are read from,
    where they are not given. None takes ultralytics' metadata in the model's file, where there are some;
    ``none`` does not."""
    bit_depth: int = 16
    """Significant bits of a uint16 frame, 9 to 16."""
    bayer: Bayer | None = None
    """Colours of the first 2×2 pixels of a raw mono frame, row by row; None when mono frames are grey."""

    def __post_init__(self) -> None:
        """Refuse values that are not among the choices. Raises SettingError."""
        _check_choice("colour", self.colour, Colour, optional=True)
        channel_count(self.channels)
        if self.channels is not None and self.colour not in (None, "channels"):
            raise SettingError(
                f"channels that have names or a number are no colours, and colour is {self.colour}",
                where="channels",
                hint="leave `channels` out, or `colour`",
            )
        _check_choice("resize", self.resize, Resize, optional=True)
        _check_choice("bayer", self.bayer, Bayer, optional=True)
        if not 9 <= self.bit_depth <= 16:
            raise SettingError(f"{self.bit_depth} is not from 9 to 16", where="bit_depth")
        _check_choice("interpolation", self.interpolation, Interpolation, optional=True)
        _check_choice("semantics", self.semantics, Semantics, optional=True)
        _check_choice("pad_place", self.pad_place, PadPlace, optional=True)
        if self.preprocessing is None:  # else when they are completed by the file
            self._check_crop()
            self._check_padding()
            self._check_resampling()

    def _check_crop(self) -> None:
        for where, value in (("resize_to", self.resize_to), ("crop_ratio", self.crop_ratio)):
            if value is not None and self.resize != "crop":
                raise SettingError(
                    f"it says what is cut, and {self.resize or 'stretch'} cuts nothing",
                    where=where,
                    hint="add `resize=crop`, or leave it out",
                )
        if self.resize_to is not None and self.crop_ratio is not None:
            raise SettingError("both say the same thing", where="resize_to, crop_ratio", hint="give one")
        if self.resize_to is not None and self.resize_to < 1:
            raise SettingError(f"{self.resize_to} is not a number of pixels", where="resize_to")
        if self.crop_ratio is not None and not 0 < self.crop_ratio <= 1:
            raise SettingError(f"{self.crop_ratio:g} is not above 0 and at most 1", where="crop_ratio")

    def _check_padding(self) -> None:
        if not 0 <= (self.pad_value or 0) <= 255:
            raise SettingError(f"{self.pad_value} is not from 0 to 255", where="pad_value")
        if self.pad_value and self.resize in (None, "stretch"):
            raise SettingError(
                "stretch pads nothing", where="pad_value", hint="add `resize=letterbox`, or leave it out"
            )
        if self.pad_place not in (None, "centre") and self.resize != "letterbox":
            raise SettingError(
                f"it says where a letterbox puts the frame, and the rule is {self.resize or 'stretch'}",
                where="pad_place",
                hint="add `resize=letterbox`, or leave it out",
            )

    def _check_resampling(self) -> None:
        if self.semantics is None:
            for where, value in (("interpolation", self.interpolation), ("antialias", self.antialias)):
                if value is not None:
                    raise SettingError(
                        "Pillow, OpenCV and torch differ in it: say which one the training used",
                        where=where,
                        hint="add `semantics=pil`, `semantics=opencv` or `semantics=torch`",
                    )
            return
        can, wanted = RESAMPLING[self.semantics], self.interpolation or "linear"
        if wanted not in can:
            raise SettingError(
                f"{self.semantics} has no {wanted} interpolation", where="interpolation", choices=list(can)
            )
        if self.antialias is not None and self.antialias not in can[wanted]:
            always = "always" if can[wanted][0] else "never"
            raise SettingError(
                f"{self.semantics} {always} smooths with {wanted} interpolation",
                where="antialias",
                hint="leave it out, or choose another library or interpolation",
            )


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Which output is explained, and how its scores are read."""

    output_name: str | None = None
    """The output, or any other value in the graph; needed when the model has several outputs."""
    activation: Activation | None = None
    """What turns scores into probabilities; None takes the activation at the model's end."""
    task: Task | None = None
    """What the model is for; None decides by the model's outputs, its end, the scores and the classes' names,
    and the report says by what evidence."""
    layout: str | None = None
    """A detector's layout, where it is not one that the exporter finds by itself, such as
    ``boxes=output0[0:4] cxcywh pixels; scores=output0[4:84] sigmoid``; see
    ``gagrad_export.arrange.layout``."""
    background: int | str | None = None
    """A segmenter's class that stands for "nothing there", by name or number, or ``none``; None decides by
    the classes' names."""
    unit: str = ""
    """Unit of a regression's values, e.g. ``mm``."""
    threshold: float | None = None
    """An anomaly scorer's threshold, in the values that the model gives; None takes the file's."""
    map_threshold: float | None = None
    """The same of the map beside its score."""
    blank: int | str | None = None
    """A text reader's blank: ``first``, ``last``, ``none`` or a number; None decides by the characters' names
    and by what is predicted most."""

    def __post_init__(self) -> None:
        """Refuse an activation or a task that is not among the choices. Raises SettingError."""
        _check_choice("activation", self.activation, Activation, optional=True)
        _check_choice("task", self.task, Task, optional=True)
        if self.layout is not None:
            declared(self.layout)
            if self.task not in (None, "detection"):
                raise SettingError(
                    f"a layout is of a detector, and the task is {self.task}",
                    where="layout",
                    hint="leave `task` or `layout` out",
                )
        for name in ("threshold", "map_threshold"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise SettingError(f"{value} is no finite number", where=name)

    def check_task(self, task: Task) -> None:
        """Refuse what belongs to another task than the model's. Raises SettingError."""
        for name, of, default in (
            ("background", "segmentation", None),
            ("unit", "regression", ""),
            ("threshold", "anomaly", None),
            ("map_threshold", "anomaly", None),
            ("blank", "sequence", None),
        ):
            if getattr(self, name) != default and task != of:
                raise SettingError(
                    f"it belongs to the task {of}, and the model's task is {task}",
                    where=name,
                    hint=f"leave it out, or add `task={of}`",
                )


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """What the bundle holds: its name, the method's defaults, and graphs beside the portable float32 ones."""

    name: str | None = None
    """Name in the manifest; None takes the file's."""
    method: MethodSpec = field(default_factory=MethodSpec)
    """Defaults of the method; a device may explain with others."""
    targets: Sequence[GraphTarget] = ()
    """Engines whose forms of the gradient are written, too: ``tensorrt``."""
    precisions: Sequence[str] = ()
    """Precisions in which model and gradient are written, too: ``float16``."""
    feature_layer: str | None = "auto"
    """Where class activation maps (Grad-CAM) are taken: ``auto``, a value or node of the model, several with
    commas between them, or None."""
    perturbations: bool = False
    """Whether to write the gradient for samples that are shifted, turned, defocused and so on, too; see
    ``gagrad_edge.method.perturbation``."""
    randomize: int | None = None
    """Seed to shuffle the weights with, for ``evaluate``'s parameter randomisation test; None leaves them."""
    check: Sequence[str] = ()
    """Labelled images, ``PATTERN=LABEL``, such as ``good/*.png=ok``: the bundle is written only if it answers
    enough of them as labelled, else the likely mistake is named. The answers are kept in the bundle."""
    check_at_least: float = AT_LEAST
    """Share of the labelled images, 0..1, that must be answered as labelled."""

    def __post_init__(self) -> None:
        """Refuse an engine that is not among the choices, and a share out of range. Raises SettingError."""
        check_share(self.check_at_least)
        for target in self.targets:
            _check_choice("targets", target, GraphTarget)


def is_reference(text: str) -> bool:
    """Whether ``text`` is ``package.module:factory`` and not the path of a file."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", text) is not None


def checked_method(method: MethodSpec) -> MethodSpec:
    """Return ``method`` if each of its values is in range. Raises SettingError."""
    try:
        return msgspec.convert(msgspec.to_builtins(method), MethodSpec)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise SettingError(what, where=place.rstrip("`") or "method") from error


def input_spec(
    model: Canonical,
    options: InputOptions = InputOptions(),
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


def check_precisions(precisions: Sequence[str], *, straight_through: int = 0) -> None:
    """Refuse precisions that a bundle cannot hold beside float32. Raises SettingError.

    ``straight_through`` is the number of the model's quantisers.
    """
    for precision in precisions:
        if precision == "bfloat16":
            raise SettingError(
                "bfloat16 is not offered: with its 8 significant bits the gradient's cosine to float32 was "
                "0.967 to 0.996 where float16 had 0.996 and more, and TensorRT refuses ConvTranspose in it",
                where="precisions",
                hint="take float16: its small range is met by scaling the gradient",
            )
        if precision not in ("float32", "float16"):
            raise SettingError(
                f"no precision {precision!r}", where="precisions", choices=["float32", "float16"]
            )
        if precision == "float16" and straight_through:
            raise SettingError(
                "a quantised model has no float16 form: in half its values round to other steps than the "
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
    return [line.strip() for line in text.splitlines() if line.strip()]


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
