"""``gagrad-edge calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import (
    against_option,
    device_options,
    lang_option,
    method_options,
    target_option,
    trust_option,
)


@click.command(cls=Command, section="explain", short_help="Learn what good parts are like.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="OK_IMAGE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, NAME.good.  [default: beside the bundle, where it is found]",
)
@target_option
@against_option
@method_options(
    "preset", "method", "guide", "samples", "baseline", "seed", "perturb", "percentile", "noise_std"
)
@lang_option
@device_options
@trust_option
def calibrate(
    bundle: Path,
    images: tuple[str, ...],
    output: Path | None,
    target: str | None,
    against: str | None,
    settings: dict[str, Any],
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Learn from images of good parts what is usual for BUNDLE: part.good for part.gagrad.

    OK_IMAGE is an image, a folder of images or a pattern. `explain`, `predict` and `watch` use the file when
    it lies beside the bundle: for the colours, the noise, the differences to a good part, and for cautions.

    Example: gagrad-edge calibrate part.gagrad good/
    """
    from gagrad_runtime.jobs.calibrating import calibrate_images  # noqa: PLC0415 - --help stays fast

    return calibrate_images(
        bundle,
        images,
        output,
        device=device,
        threads=threads,
        trust=trust,
        target=target,
        settings={**settings, "against": against},
    )
