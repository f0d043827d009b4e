"""``gagrad-edge audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command, say
from gagrad_runtime.commands.options import (
    device_options,
    good_options,
    lang_option,
    method_options,
    trust_option,
)
from gagrad_runtime.language import plural, text


@click.command(cls=Command, section="explain", short_help="Look at a plant's whole history of images.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("audit"),
    show_default=True,
    help="Folder for table and report; an unfinished audit goes on.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Make the plan and say it, and stop there.")
@click.option("--budget", help="Be done in this time, such as 8h, with fewer explanations if need be.")
@click.option(
    "--workers", type=click.IntRange(1), help="Processes at a time.  [default: one per core; 1 on a GPU]"
)
@click.option(
    "--one-in",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Of the images that nothing marks, explain one in so many; 0 for none.",
)
@click.option(
    "--roi", type=click.Path(path_type=Path), help="Region of interest: the table has each map's share in it."
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Folder of another bundle's audit of the same images, to compare with in the report.",
)
@good_options
@method_options("samples", "seed")
@device_options
@trust_option
@lang_option
def audit(
    bundle: Path,
    sources: tuple[str, ...],
    output: Path,
    plan_only: bool,
    budget: str | None,
    workers: int | None,
    one_in: int,
    roi: Path | None,
    against: Path | None,
    good: Path | bool | None,
    settings: dict[str, Any],
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Ask BUNDLE about all images of SOURCE, explain those that matter, and write one table.

    SOURCE is a folder, with all folders in it; a list of paths (.txt, .csv); a table with a column path
    (.parquet); a station's folder of results; an image; or an address such as s3://bucket/line1.

    All NG, all unsure and all with a caution are explained, and 1 in 1000 of the rest. First the plan is
    said: how many images, how long, how large. The same command continues an audit that was stopped. Broken
    images are rows with an error. docs/audit.md describes the table.

    Example: gagrad-edge audit part.gagrad archive/2026 --budget 8h -o audit/
    """
    from gagrad_runtime.audit.auditing import audit_images  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415

    def say_lines(lines: list[str]) -> None:
        say(*lines, err=True)

    with Progress("shards") as progress:
        done = audit_images(
            bundle,
            sources,
            output,
            plan_only=plan_only,
            budget=budget,
            workers=workers,
            one_in=one_in,
            roi=roi,
            good=good,
            settings=settings,
            device=device,
            threads=threads,
            trust=trust,
            say=say_lines,
            progress=progress,
        )
    if plan_only:
        here = {"path": output / "audit.json", "option": "--plan"}
        say(text("plan: {path}; the same command without {option} goes on", **here), err=True)
        return 0
    from gagrad_runtime.audit.page import write_report  # noqa: PLC0415

    page = write_report(output, against)
    number = plural("{images} image", "{images} images", done.images, images=f"{done.images:,}")
    say(f"{number} → {output / 'shards'}/, {page}", err=True)
    return 0
