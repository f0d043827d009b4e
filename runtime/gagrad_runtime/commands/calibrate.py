"""``gagrad-edge calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import device_options, trust_option
from gagrad_runtime.question.methods import DEFAULT, METHODS


@click.command(cls=Command, section="explain", short_help="Fix the colour scale by good parts.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="OK_IMAGE...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Scale to write, NAME.scale.json."
)
@click.option("--target", help="Class to explain, by name or index.  [default: what the model says]")
@click.option("--against", help="Explain why the target and not this class.")
@click.option(
    "--method",
    default=DEFAULT,
    show_default=True,
    help=f"How the map is made: {', '.join(METHODS)}.",
)
@click.option("--guide", help="What weighs the gradients.  [default: paper]")
@click.option("--samples", type=int, help="Perturbed copies per image.  [default: the bundle's]")
@click.option("--baseline", type=float, help="Pixel value where integrated gradients begin.  [default: 0]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@click.option("--perturb", metavar="NAME=RANGE,...", help="Also perturb each copy, as in `explain`.")
@click.option("--percentile", type=float, help="Percentile of the guide, 0 to 1.  [default: the bundle's]")
@click.option("--noise-std", type=float, help="Noise relative to the input's range.  [default: the bundle's]")
@device_options
@trust_option
def calibrate(
    bundle: Path,
    images: tuple[str, ...],
    output: Path,
    target: str | None,
    against: str | None,
    method: str,
    guide: str | None,
    samples: int | None,
    baseline: float | None,
    seed: int,
    perturb: str | None,
    percentile: float | None,
    noise_std: float | None,
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Measure how high the maps of good parts reach with BUNDLE, for `explain --scale`.

    With the scale a good part looks calm, and a place that stands out is one that good parts do not have.

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
        settings={
            "against": against,
            "method": method,
            "guide": guide,
            "samples": samples,
            "baseline": baseline,
            "seed": seed,
            "perturb": perturb,
            "percentile": percentile,
            "noise_std": noise_std,
        },
    )
