"""``gagrad-edge calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import (
    against_option,
    device_options,
    method_options,
    target_option,
    trust_option,
)


@click.command(cls=Command, section="explain", short_help="Fix the colour scale by good parts.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="OK_IMAGE...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Scale to write, NAME.scale.json."
)
@target_option
@against_option
@method_options(
    "preset", "method", "guide", "samples", "baseline", "seed", "perturb", "percentile", "noise_std"
)
@device_options
@trust_option
def calibrate(
    bundle: Path,
    images: tuple[str, ...],
    output: Path,
    target: str | None,
    against: str | None,
    settings: dict[str, Any],
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Measure how high the maps of good parts reach with BUNDLE, for `explain --scale`.

    With the scale the map of a good part stays dark, and a bright place is one that good parts do not have.

    Example: gagrad-edge calibrate part.gagrad 'good/*.png' -o part.scale.json --target scratch
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
