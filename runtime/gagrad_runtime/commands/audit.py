"""``gagrad-edge audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.errors import FAILED, UNCLEAR, SettingError
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
@click.argument("sources", nargs=-1, metavar="SOURCE...")
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
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What makes the table: processes of this machine, or Ray.",
)
@click.option("--ray", "address", help="Address of a Ray cluster.  [default: this machine alone]")
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
@click.option(
    "--assert",
    "findings",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="findings.json of an earlier audit: does BUNDLE still do what was called bad? Takes no SOURCE.",
)
@click.option(
    "--at-most",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.15,
    show_default=True,
    help="With --assert: share of parts whose answer a bad place may change.",
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
    engine: str,
    address: str | None,
    one_in: int,
    roi: Path | None,
    against: Path | None,
    findings: Path | None,
    at_most: float,
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

    With --assert the stored images of what a person called bad (`clusters --decide`) are asked instead. Exit
    code 0: it is gone, or nothing was called bad; 1: BUNDLE still does it; 6: it cannot be told.

    Example: gagrad-edge audit part.gagrad archive/2026 --budget 8h -o audit/
    """
    if findings is not None:
        return _assert(bundle, sources, findings, at_most, device, threads, trust)
    if not sources:
        raise SettingError("there is nothing to look at", where="sources", hint="give a SOURCE: see --help")
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
            engine=engine,
            address=address,
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


def _assert(
    bundle: Path,
    sources: tuple[str, ...],
    file: Path,
    at_most: float,
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Ask the bundle about what was called bad, and return the exit code."""
    from gagrad_runtime.audit.gate import check_findings, table  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415

    if sources:
        raise SettingError("the images are those of the findings", where="findings", hint="give no SOURCE")
    with Progress("places") as progress:
        findings, found = check_findings(
            bundle, file, at_most=at_most, device=device, threads=threads, trust=trust, progress=progress
        )
    waiting = sum(one.finding for one in findings.called("ask"))
    if waiting:
        said = plural(
            "{count} finding still to decide: see {command}",
            "{count} findings still to decide: see {command}",
            waiting,
            command="gagrad-edge clusters --decide",
        )
        say(said, err=True)
    if not found:
        say(text("nothing in {file} is called bad: there is nothing to ask", file=file), err=True)
        return 0
    say(*table(found))
    for one in found:
        if one.missing:
            gone = plural(
                "cluster {number}: {count} image gone or changed, such as {path}",
                "cluster {number}: {count} images gone or changed, such as {path}",
                len(one.missing),
                number=one.cluster.number,
                path=one.missing[0],
            )
            say(gone, err=True)
    outcomes = [one.outcome for one in found]
    counts = {name: outcomes.count(name) for name in ("still", "unclear", "gone")}
    say(text("{still} still bad, {unclear} cannot be told, {gone} gone", **counts), err=True)
    return FAILED if "still" in outcomes else UNCLEAR if "unclear" in outcomes else 0
