"""``gagrad-edge explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.detections import ALL, four_numbers, number_or_all
from gagrad_runtime.commands.options import (
    against_option,
    device_options,
    good_options,
    json_option,
    lang_option,
    method_options,
    trust_option,
)
from gagrad_runtime.machine.blas import one_blas_thread


@click.command(cls=Command, section="explain", short_help="Show what the model looked at in images.")
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
    multiple=True,
    help="Class to explain, by name or index; may be given several times.  [default: what the model says]",
)
@against_option
@click.option(
    "--region",
    metavar="BOX|MASK",
    help="Explain the class's score in a part of a spatial output: a box left,top,right,bottom, or a mask.",
)
@click.option(
    "--detection",
    callback=number_or_all,
    metavar="NUMBER|all",
    help="Explain a detector's detection by its number, as `predict` lists it, or all of them.",
)
@click.option(
    "--box",
    callback=four_numbers,
    metavar="L,T,R,B",
    help="Explain the detection that overlaps a box of the image most: left,top,right,bottom.",
)
@click.option(
    "--instance",
    type=click.IntRange(1),
    metavar="N",
    help="Explain one connected area of a segmenter's class or of an anomaly map; 1 is the largest.",
)
@click.option(
    "--character",
    type=click.IntRange(1),
    metavar="N",
    help="Explain one character of a text line, counted from 1.  [default: the whole line]",
)
@click.option(
    "--each",
    is_flag=True,
    help="Explain each label, each detection, or each class with an area that the model says is there.",
)
@method_options()
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
@good_options
@click.option("--full", is_flag=True, help="Also write map and overlay at the frame's full size.")
@click.option(
    "--html",
    is_flag=True,
    help="Also write index.html, a page of all images; a run that was stopped goes on.",
)
@click.option("--recursive", is_flag=True, help="Of a folder, take the images in its folders too.")
@click.option("--npy", is_flag=True, help="Also write the bare map as .npy, float32 [H, W].")
@lang_option
@device_options
@trust_option
@json_option
def explain(
    bundle: Path,
    images: tuple[str, ...],
    output: Path,
    target: tuple[str, ...],
    against: str | None,
    region: str | None,
    detection: int | str | None,
    box: tuple[float, float, float, float] | None,
    instance: int | None,
    character: int | None,
    each: bool,
    settings: dict[str, Any],
    roi: Path | None,
    roi_limit: float | None,
    roi_fail_exit: bool,
    good: Path | bool | None,
    full: bool,
    html: bool,
    recursive: bool,
    npy: bool,
    device: str,
    threads: int | None,
    trust: Path | None,
    as_json: bool,
) -> int:
    """Explain each IMAGE with BUNDLE: a picture, the bare map as 16-bit PNG, and a JSON record.

    IMAGE may be a folder, or a pattern such as 'frames/*.png'. An image that cannot be explained is
    reported and the others go on; the exit code is then 3, or 4 when the model is at fault. Files of other
    results are never replaced: their names say image, class and method, with a number where that is not
    enough.

    Example: gagrad-edge explain part.gagrad frames/*.png -o explanations/ --target scratch
    """
    one_blas_thread()
    from gagrad_runtime.jobs.explaining import explain_images  # noqa: PLC0415 - --help stays fast

    return explain_images(
        bundle,
        images,
        output,
        raw=("png", "npy") if npy else ("png",),
        full=full,
        html=html,
        recursive=recursive,
        device=device,
        threads=threads,
        trust=trust,
        as_json=as_json,
        targets=target,
        each=each or detection == ALL,
        detections=detection is not None,
        roi=roi,
        roi_limit=roi_limit,
        roi_fail_exit=roi_fail_exit,
        good=good,
        settings={
            **settings,
            "against": against,
            "region": region,
            "detection": None if detection == ALL else detection,
            "box": box,
            "instance": instance,
            "character": character,
        },
    )
