"""``gagrad-edge check``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.checking import AT_LEAST
from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import device_options, json_option, lang_option, trust_option


@click.command(cls=Command, section="bundle", short_help="Compare a bundle's answers with labelled images.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--check",
    multiple=True,
    required=True,
    metavar="'PATTERN=LABEL'",
    help="Images, and what the model should say of them; may be given several times.",
)
@click.option(
    "--check-at-least",
    type=click.FloatRange(0, 1),
    default=AT_LEAST,
    show_default=True,
    help="Share of the images that must be answered as labelled.",
)
@lang_option
@device_options
@trust_option
@json_option
def check(
    bundle: Path,
    check: tuple[str, ...],
    check_at_least: float,
    device: str,
    threads: int | None,
    trust: Path | None,
    as_json: bool,
) -> None:
    """Check on labelled images that pictures are fed to BUNDLE's model as its training had it.

    Where answers differ from labels, the usual mistakes are tried (mean and std, 0..255, colour order,
    resizing, bit depth, order of the class names) and the likely one is named. Exit code 4 below
    --check-at-least.

    Example: gagrad-edge check part.gagrad --check 'good/*.png=ok' --check 'ng/*.png=scratch'
    """
    from gagrad_runtime.jobs.checking import check_images  # noqa: PLC0415 - --help stays fast

    check_images(
        bundle,
        check,
        check_at_least,
        device=device,
        threads=threads,
        trust=trust,
        as_json=as_json,
    )
