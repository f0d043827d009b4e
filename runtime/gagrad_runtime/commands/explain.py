"""``gagrad-edge explain``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_runtime.commands.options import device_options, json_option, trust_option
from gagrad_runtime.question.methods import DEFAULT, METHODS


@click.command(short_help="Show what the model looked at in images.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("explanations"),
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="Class to explain, by name or index; may be given several times.  [default: what the model says]",
)
@click.option("--against", help="Explain why the target and not this class.")
@click.option(
    "--region",
    metavar="BOX|MASK",
    help="Explain the class's score in a part of a spatial output: a box left,top,right,bottom, or a mask.",
)
@click.option(
    "--method",
    default=DEFAULT,
    show_default=True,
    help=f"How the map is made: {', '.join(METHODS)}.",
)
@click.option("--guide", help="What weighs the gradients; `inspect` lists the bundle's.  [default: paper]")
@click.option("--samples", type=int, help="Perturbed copies per image.  [default: the bundle's]")
@click.option("--budget-ms", type=float, help="Be done in this time, with fewer samples if need be, but 4.")
@click.option("--until-stable", type=float, help="Stop when the map is this stable, 0 to 1.")
@click.option(
    "--perturb",
    metavar="NAME=RANGE,...",
    help="Change the copies by more than noise, e.g. gain=0.1,shift=2,angle=2,blur=1.",
)
@click.option("--baseline", type=float, help="Pixel value where integrated gradients begin.  [default: 0]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@click.option("--percentile", type=float, help="Percentile of the guide, 0 to 1.  [default: the bundle's]")
@click.option("--noise-std", type=float, help="Noise relative to the input's range.  [default: the bundle's]")
@click.option("--chunk", type=int, help="Copies at a time; fewer need less memory.  [default: chosen here]")
@click.option(
    "--roi",
    type=click.Path(path_type=Path),
    help="Where it should look: a mask image, polygon JSON or a labelme file.",
)
@click.option(
    "--roi-limit",
    type=float,
    metavar="SHARE",
    help="Share of the map, 0 to 1, that must lie in the region: PASS or FAIL.",
)
@click.option("--roi-fail-exit", is_flag=True, help="End with exit code 1 when a map FAILs.")
@click.option(
    "--scale",
    type=click.Path(path_type=Path),
    help="Colour by what good parts reach: a file that `calibrate` wrote.",
)
@click.option("--npy", is_flag=True, help="Also write the bare map as .npy, float32 [H, W].")
@device_options
@trust_option
@json_option
def explain(
    bundle: Path,
    images: tuple[str, ...],
    output: Path,
    targets: tuple[str, ...],
    against: str | None,
    region: str | None,
    method: str,
    guide: str | None,
    samples: int | None,
    budget_ms: float | None,
    until_stable: float | None,
    perturb: str | None,
    baseline: float | None,
    seed: int,
    percentile: float | None,
    noise_std: float | None,
    chunk: int | None,
    roi: Path | None,
    roi_limit: float | None,
    roi_fail_exit: bool,
    scale: Path | None,
    npy: bool,
    device: str,
    threads: int | None,
    trust: Path | None,
    as_json: bool,
) -> int:
    """Explain each IMAGE with BUNDLE: a picture, the bare map as 16-bit PNG, and a JSON record.

    IMAGE may be a pattern such as 'frames/*.png'. An image that cannot be explained is reported and the
    others go on; the exit code is then 3, or 4 when the model is at fault. Files of other results are
    never replaced: their names say image, class and method, with a number where that is not enough.

    Example: gagrad-edge explain part.gagrad frames/*.png -o explanations/ --target scratch
    """
    from gagrad_runtime.jobs.explaining import explain_images  # noqa: PLC0415 - --help stays fast

    return explain_images(
        bundle,
        images,
        output,
        raw=("png", "npy") if npy else ("png",),
        device=device,
        threads=threads,
        trust=trust,
        as_json=as_json,
        targets=targets,
        roi=roi,
        roi_limit=roi_limit,
        roi_fail_exit=roi_fail_exit,
        scale=scale,
        settings={
            "against": against,
            "region": region,
            "method": method,
            "guide": guide,
            "budget_ms": budget_ms,
            "until_stable": until_stable,
            "perturb": perturb,
            "baseline": baseline,
            "samples": samples,
            "seed": seed,
            "percentile": percentile,
            "noise_std": noise_std,
            "chunk": chunk,
        },
    )
