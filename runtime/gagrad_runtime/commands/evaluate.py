"""``gagrad-edge evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.summary import counted
from gagrad_runtime.commands.options import device_options, method_options, target_option, trust_option

if TYPE_CHECKING:
    from gagrad_edge.errors import GagradError

_METHODS = "operator,guided-absolutegrad,absolutegrad,smoothgrad,gradient,integrated-gradients"


@click.command(
    cls=Command, section="explain", short_help="Measure how far maps can be trusted, method by method."
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder for the report; an unfinished one goes on.",
)
@click.option(
    "--methods",
    default=_METHODS,
    show_default=True,
    help="Methods with commas, or presets; METHOD/GUIDE for a guide other than the paper's.",
)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder with a mask of the known defect for each image, STEM.png.",
)
@click.option(
    "--mask-margin",
    type=click.FloatRange(0, 10_000),
    default=0.0,
    show_default=True,
    help="Frame pixels beside the mask that count as on it.",
)
@click.option(
    "--randomized",
    type=click.Path(path_type=Path),
    help="Bundle of the same model with random weights, for the randomisation check.",
)
@target_option
@method_options("samples", "seed")
@device_options
@trust_option
def evaluate(
    bundle: Path,
    images: tuple[str, ...],
    output: Path,
    methods: str,
    masks: Path | None,
    mask_margin: float,
    randomized: Path | None,
    target: str | None,
    settings: dict[str, Any],
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Explain each IMAGE with BUNDLE by several methods and compare the maps in one page, report.html.

    IMAGE may be a folder or a pattern. Results are kept as they come: the same command continues a run that
    was stopped. A bad image is reported and left out; the exit code is then 3.

    Example: gagrad-edge evaluate part.gagrad test/images --masks test/masks -o report/
    """
    from gagrad_runtime.evaluate.study import evaluate_images  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.jobs.explaining import say_error  # noqa: PLC0415
    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415

    def print_error(path: str, error: GagradError) -> None:
        progress.clear()
        say_error(path, error)

    with Progress() as progress:
        result = evaluate_images(
            bundle,
            images,
            output,
            methods=methods,
            masks=masks,
            mask_margin=mask_margin,
            randomized=randomized,
            target=target,
            settings=settings,
            device=device,
            threads=threads,
            trust=trust,
            progress=progress,
            on_error=print_error,
        )
    summary = f"{result.images} of {counted(result.total, 'image')}, {counted(result.methods, 'method')}"
    say(f"{summary} → {result.page}", err=True)
    return result.exit_code
