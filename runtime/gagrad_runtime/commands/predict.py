"""``gagrad-edge predict``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import (
    device_options,
    good_options,
    json_option,
    lang_option,
    trust_option,
)
from gagrad_runtime.machine.blas import one_blas_thread


@click.command(cls=Command, section="explain", short_help="Say what the model says of images.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for pictures of what the model finds, NAME.predicted.png.",
)
@good_options
@lang_option
@device_options
@trust_option
@json_option
def predict(
    bundle: Path,
    images: tuple[str, ...],
    output: Path | None,
    good: Path | bool | None,
    device: str,
    threads: int | None,
    trust: Path | None,
    as_json: bool,
) -> int:
    """Print what the model says of each IMAGE, without an explanation.

    By the model's task: the classes with their probability, the detections with their boxes (left, top,
    right, bottom in pixels of the image), the area of each class, the score, the value or the text. With
    --json one object a line (docs/prediction.schema.json).

    IMAGE may be a pattern such as 'frames/*.png'. An image that cannot be used is reported and the others go
    on; the exit code is then 3, or 4 when the model is at fault.

    Example: gagrad-edge predict part.gagrad frames/*.png --json
    """
    one_blas_thread()
    from gagrad_runtime.jobs.predicting import predict_images  # noqa: PLC0415 - --help stays fast

    return predict_images(
        bundle, images, output, good=good, device=device, threads=threads, trust=trust, as_json=as_json
    )
