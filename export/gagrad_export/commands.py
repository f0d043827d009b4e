"""``gagrad-edge export``: options only; heavy modules are imported when the command runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gagrad_edge.checking import AT_LEAST
from gagrad_edge.cli import Command, say, with_options
from gagrad_edge.errors import MissingPackageError

if TYPE_CHECKING:
    from gagrad_edge.input import Bayer, Colour, Interpolation, PadPlace, Resize, Semantics
    from gagrad_edge.manifest import GraphTarget
    from gagrad_edge.output import Activation, Task
    from gagrad_export.pipeline import ExportReport


_PRECISIONS: dict[str, tuple[str, ...]] = {"fp32": (), "fp16": ("float16",), "bf16": ("bfloat16",)}
"""The names of ``--precision``, and what the library calls the precisions beside float32."""


class SeveralValues(Command):
    """A command whose ``--mean`` and ``--std`` take several numbers in a row: ``--mean 0.5 0.5 0.5``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the option's name in front of each of its numbers, as click expects it."""
        spread: list[str] = []
        current: str | None = None
        for arg in args:
            if arg in ("--mean", "--std"):
                current = arg
            elif current is not None and _is_number(arg):
                spread += [current, arg]
            else:
                current = None
                spread.append(arg)
        return super().parse_args(ctx, spread)


@click.command(
    cls=SeveralValues, section="bundle", short_help="Compile a model and its explanation into a bundle."
)
@click.argument("model")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Bundle to write, NAME.gagrad."
)
@click.option(
    "--size",
    nargs=2,
    type=click.IntRange(1),
    metavar="HEIGHT WIDTH",
    help="Image size; needed when the model does not fix it.",
)
@click.option(
    "--mean",
    multiple=True,
    type=float,
    metavar="M…",
    help="Mean, per channel or one for all, in pixel values 0..1.",
)
@click.option(
    "--std",
    multiple=True,
    type=float,
    metavar="S…",
    help="Standard deviation, per channel or one for all, in pixel values 0..1.",
)
@click.option(
    "--colour",
    type=click.Choice(["rgb", "bgr", "mono", "channels"]),
    help="Order of the model's channels.  [default: rgb; mono for one; channels for other numbers than 3]",
)
@click.option(
    "--channels",
    metavar="N|NAME,…",
    help="Channels that are no colours (lights, cameras, bands), 1 to 16: how many, or their names in order.",
)
@click.option(
    "--shown",
    metavar="NAME[,NAME,NAME]",
    help="Which such channel pictures show, or which three as red, green, blue.  [default: the first]",
)
@click.option(
    "--preprocessing",
    metavar="FILE|torchvision:NAME|none",
    help="Hugging Face's preprocessor_config.json, timm's config, or a torchvision preset; none: not even "
    "the model's own metadata.",
)
@click.option(
    "--resize",
    type=click.Choice(["stretch", "letterbox", "crop"]),
    help="How a frame of another size is fitted.  [default: as the preprocessing says, else stretch]",
)
@click.option(
    "--resize-to",
    type=click.IntRange(1),
    metavar="PIXELS",
    help="With --resize crop: the shorter side before the centre is cut, as in Resize(256), CenterCrop(224).",
)
@click.option(
    "--crop-ratio",
    type=float,
    metavar="R",
    help="With --resize crop: the share that is cut from the centre, timm's crop_pct.",
)
@click.option(
    "--like",
    "semantics",
    type=click.Choice(["pil", "opencv", "torch"]),
    help="Resample as this library does.  [default: average where the frame shrinks, linear where it grows]",
)
@click.option(
    "--interpolation",
    type=click.Choice(["nearest", "linear", "area", "cubic", "lanczos"]),
    help="With --like: the library's interpolation.  [default: linear]",
)
@click.option(
    "--antialias/--no-antialias",
    default=None,
    help="With --like torch: whether shrinking is smoothed.  [default: as the library; on for torch]",
)
@click.option(
    "--pad-value",
    type=click.IntRange(0, 255),
    help="Grey beside the frame; ultralytics has 114.  [default: as the preprocessing says, else 0]",
)
@click.option(
    "--pad-place",
    type=click.Choice(["centre", "top-left"]),
    help="Where a letterbox puts the frame.  [default: centre]",
)
@click.option(
    "--bit-depth",
    type=click.IntRange(9, 16),
    default=16,
    show_default=True,
    help="Significant bits of 16-bit frames.",
)
@click.option(
    "--bayer",
    type=click.Choice(["rggb", "bggr", "grbg", "gbrg"]),
    help="Mono frames are raw: the colours of their first 2×2 pixels.  [default: they are grey]",
)
@click.option(
    "--classes",
    type=click.Path(path_type=Path),
    help="Text file with one class name, or one character of a text reader, on each line.  "
    "[default: as the model's files state]",
)
@click.option(
    "--activation",
    type=click.Choice(["softmax", "sigmoid", "none"]),
    help="What turns scores into probabilities.  [default: as found in the model]",
)
@click.option(
    "--task",
    type=click.Choice(
        [
            "auto",
            "classification",
            "multilabel",
            "regression",
            "segmentation",
            "detection",
            "anomaly",
            "sequence",
        ]
    ),
    default="auto",
    show_default=True,
    help="What the model is for; auto decides and says by what evidence.",
)
@click.option(
    "--background",
    metavar="NAME|N|none",
    help="Segmentation: the class that stands for nothing there.  [default: by the classes' names]",
)
@click.option("--unit", default="", metavar="UNIT", help="Regression: unit of the values, such as mm.")
@click.option(
    "--threshold",
    type=float,
    help="Anomaly: score from which a part is NG, as the model gives it.  [default: the file's]",
)
@click.option("--map-threshold", type=float, help="Anomaly: the same of the map beside the score.")
@click.option(
    "--blank",
    metavar="first|last|none|N",
    help="Text line: which character is the blank.  [default: by its name, or as predicted most]",
)
@click.option(
    "--layout",
    metavar="TEXT",
    help='Where a detector has boxes and scores, if it is not found: "boxes=output0[0:4] cxcywh pixels; '
    'scores=output0[4:84] sigmoid".',
)
@click.option("--weights", type=click.Path(path_type=Path), help="State dict for package.module:factory.")
@click.option("--input-name", help="Which input is the image, when there are several.")
@click.option(
    "--output-name", help="Which output to explain, when there are several; any value in the graph."
)
@click.option(
    "--fix",
    "fixed",
    multiple=True,
    metavar="NAME=VALUE",
    help="Constant for an input that is not the image: a number, numbers with commas, or an .npy file.",
)
@click.option(
    "--engine",
    "targets",
    multiple=True,
    type=click.Choice(["tensorrt", "openvino", "aarch64"]),
    help="Also write the gradient in the forms of this engine (aarch64: ONNX Runtime on an ARM processor); "
    "the bundle then carries both.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "bf16"]),
    default="fp32",
    show_default=True,
    help="With fp16 also write model and gradient in float16, for GPUs; the bundle then carries both. With "
    "bf16 and --engine openvino, measure whether the map is the same in bfloat16, and allow it if so.",
)
@click.option(
    "--feature-layer",
    default="auto",
    show_default=True,
    metavar="auto|NAME,…|none",
    help="Activation that class activation maps (Grad-CAM) are taken at: a value or node of the model, "
    "or several.",
)
@click.option(
    "--randomize",
    type=click.IntRange(0),
    metavar="SEED",
    help="Shuffle the weights first: a bundle for `evaluate --randomized` only.",
)
@click.option(
    "--perturbations",
    is_flag=True,
    help="Also write the gradient for samples that are shifted, turned, flipped, defocused and so on.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write the models into this repository of a Triton server.",
)
@click.option(
    "--check",
    multiple=True,
    metavar="'PATTERN=LABEL'",
    help="Labelled images, e.g. 'good/*.png=ok', that the model must answer so; may be given several times.",
)
@click.option(
    "--check-at-least",
    type=click.FloatRange(0, 1),
    default=AT_LEAST,
    show_default=True,
    help="Share of the labelled images that must be answered as labelled.",
)
@click.option("--name", help="Name of the bundle.  [default: the file's]")
@click.option("--samples", type=int, help="Default number of samples (perturbed copies).  [default: 20]")
@click.option("--noise-std", type=float, help="Noise level relative to the input's range.  [default: 0.15]")
@click.option("--percentile", type=float, help="Percentile of the guide.  [default: 0.85]")
@click.option("--chunk", type=int, help="Samples per run of the graph.  [default: 10]")
def export(
    model: str,
    output: Path,
    size: tuple[int, int] | None,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    colour: Colour | None,
    channels: str | None,
    shown: str | None,
    preprocessing: str | None,
    resize: Resize | None,
    resize_to: int | None,
    crop_ratio: float | None,
    semantics: Semantics | None,
    interpolation: Interpolation | None,
    antialias: bool | None,
    pad_value: int | None,
    pad_place: PadPlace | None,
    bit_depth: int,
    bayer: Bayer | None,
    classes: Path | None,
    activation: Activation | None,
    task: Task | Literal["auto"],
    background: str | None,
    unit: str,
    threshold: float | None,
    map_threshold: float | None,
    blank: str | None,
    layout: str | None,
    weights: Path | None,
    input_name: str | None,
    output_name: str | None,
    fixed: tuple[str, ...],
    targets: tuple[GraphTarget, ...],
    precisions: str,
    feature_layer: str,
    randomize: int | None,
    perturbations: bool,
    triton: Path | None,
    check: tuple[str, ...],
    check_at_least: float,
    name: str | None,
    samples: int | None,
    noise_std: float | None,
    percentile: float | None,
    chunk: int | None,
) -> None:
    """Compile MODEL and its input gradients into a bundle.

    MODEL is an .onnx file, a .pt2 file of torch.export, or package.module:factory for a torch model. The
    graphs are verified before they are written; a model that fails is not written.

    Example: gagrad-edge export model.onnx -o part.gagrad --size 224 224 --mean 0.485 0.456 0.406
    --std 0.229 0.224 0.225 --classes labels.txt
    """
    try:
        import gagrad_export  # noqa: PLC0415 - --help stays fast
        from gagrad_export.channels import read_channels  # noqa: PLC0415
        from gagrad_export.settings import fixed_inputs  # noqa: PLC0415

        run = gagrad_export.export
    except ImportError as error:
        raise MissingPackageError(
            f"the exporter needs a package that is not installed ({error.name})",
            hint='pip install "gagrad-edge[cpu,export]"',
        ) from error
    began = time.perf_counter()
    defaults: dict[str, Any] = {
        "samples": samples,
        "noise_std": noise_std,
        "percentile": percentile,
        "chunk": chunk,
    }
    report = run(
        model if weights is None else gagrad_export.TorchFactory(model, weights),
        output,
        size=size or None,
        mean=mean or None,
        std=std or None,
        classes=classes,
        inputs=gagrad_export.InputOptions(
            input_name=input_name,
            fixed=fixed_inputs(fixed),
            colour=colour,
            channels=None if channels is None else read_channels(channels),
            shown=None if shown is None else [name.strip() for name in shown.split(",")],
            preprocessing=preprocessing,
            resize=resize,
            resize_to=resize_to,
            crop_ratio=crop_ratio,
            semantics=semantics,
            interpolation=interpolation,
            antialias=antialias,
            pad_value=pad_value,
            pad_place=pad_place,
            bit_depth=bit_depth,
            bayer=bayer,
        ),
        outputs=gagrad_export.OutputOptions(
            output_name=output_name,
            activation=activation,
            task=None if task == "auto" else task,
            background=background,
            unit=unit,
            threshold=threshold,
            map_threshold=map_threshold,
            blank=blank,
            layout=layout,
        ),
        bundle=gagrad_export.BundleOptions(
            name=name,
            method=gagrad_export.MethodSpec(
                **{key: value for key, value in defaults.items() if value is not None}
            ),
            targets=targets,
            precisions=_PRECISIONS[precisions],
            feature_layer=None if feature_layer == "none" else feature_layer,
            perturbations=perturbations,
            randomize=randomize,
            check=check,
            check_at_least=check_at_least,
        ),
        progress=lambda stage: say(f"  {stage} …", err=True),
    )
    said = summary(report, time.perf_counter() - began)
    say(*with_options(said, click.get_current_context().command).split("\n"), err=True)
    if triton is not None:
        from gagrad_edge.bundle.bundle import read_bundle  # noqa: PLC0415
        from gagrad_export.triton import write_repository  # noqa: PLC0415

        folders = write_repository(read_bundle(output), triton)
        say(f"  triton       {triton}: {', '.join(folder.name for folder in folders)}", err=True)


def summary(report: ExportReport, seconds: float) -> str:
    """Return what an export did, for people."""
    from gagrad_edge.summary import describe, line  # noqa: PLC0415 - --help stays fast

    manifest = report.manifest
    operators = ", ".join(f"{name} ×{count}" for name, count in manifest.model.operators.items())
    lowered = ", ".join(f"{name} ×{count}" for name, count in report.lowered.items()) or "none"
    stages = ", ".join(f"{name} {taken:.1f}" for name, taken in report.seconds.items())
    spec = manifest.input
    plain = spec.mean == [0.0] * spec.channels and spec.std == [1.0] * spec.channels
    plain = plain and not any("pictures are fed as" in note for note in manifest.model.notes)
    note = "no --mean/--std given: the model gets pixel values from 0 to 1"
    lines = [
        f"Wrote {report.path} ({report.size / 1e6:.1f} MB; the model is {report.model_size / 1e6:.1f} MB)",
        line("operators", f"{sum(manifest.model.operators.values())}: {operators}"),
        line("gradient", f"{len(manifest.model.operators)} rules; lowered: {lowered}"),
        *describe(manifest),
        line("time", f"{seconds:.1f} s ({stages})"),
        *([line("note", note)] if plain else []),
    ]
    return with_options("\n".join(lines), export)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
