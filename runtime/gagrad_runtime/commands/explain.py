"""``gagrad-edge explain``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_runtime.commands.options import device_options, json_option


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
@click.option("--target", help="Class to explain, by name or index.  [default: what the model says]")
@click.option("--against", help="Explain why the target and not this class.")
@click.option("--samples", type=int, help="Perturbed copies per image.  [default: the bundle's]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@click.option("--percentile", type=float, help="Percentile of the guide, 0 to 1.  [default: the bundle's]")
@click.option("--noise-std", type=float, help="Noise relative to the input's range.  [default: the bundle's]")
@click.option("--chunk", type=int, help="Copies at a time; fewer need less memory.  [default: chosen here]")
@click.option("--npy", is_flag=True, help="Also write the bare map as .npy, float32 [H, W].")
@device_options
@json_option
def explain(
    bundle: Path,
    images: tuple[str, ...],
    output: Path,
    target: str | None,
    against: str | None,
    samples: int | None,
    seed: int,
    percentile: float | None,
    noise_std: float | None,
    chunk: int | None,
    npy: bool,
    device: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Explain each IMAGE with BUNDLE: a picture, the bare map as 16-bit PNG, and a JSON record.

    IMAGE may be a pattern such as 'frames/*.png'. An image that cannot be explained is reported and the
    others go on; the exit code is then 3, or 4 when the model is at fault.

    Example: gagrad-edge explain part.gagrad frames/*.png -o explanations/ --target scratch
    """
    from gagrad_runtime.batch import explain_images  # noqa: PLC0415 - --help stays fast

    return explain_images(
        bundle,
        images,
        output,
        raw=("png", "npy") if npy else ("png",),
        device=device,
        threads=threads,
        as_json=as_json,
        settings={
            "target": target,
            "against": against,
            "samples": samples,
            "seed": seed,
            "percentile": percentile,
            "noise_std": noise_std,
            "chunk": chunk,
        },
    )
