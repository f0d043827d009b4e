"""Options of an export: what is needed less often than the parameters of ``export``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from gagrad_edge.checking import AT_LEAST, check_share
from gagrad_edge.errors import SettingError
from gagrad_edge.input import RESAMPLING, Bayer, Colour, Interpolation, PadPlace, Resize, Semantics
from gagrad_edge.manifest import GraphTarget, MethodSpec
from gagrad_edge.output import Activation, Task
from gagrad_export.arrange.layout import declared
from gagrad_export.channels import channel_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike


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
    """Engines whose forms of the gradient are written, too: ``tensorrt``, ``openvino``, ``aarch64``."""
    precisions: Sequence[str] = ()
    """Numbers in which model and gradient are offered, too: ``float16``, which is written beside float32, and
    ``bfloat16`` for OpenVINO, which runs the float32 graphs in it: the agreement is measured here."""
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
