"""``gagrad-edge clusters``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.errors import SettingError
from gagrad_runtime.commands.options import decider, device_options, lang_option, trust_option
from gagrad_runtime.language import joined, plural, text


@click.command(cls=Command, section="explain", short_help="Find what the model has learned to look at.")
@click.argument("audit", type=click.Path(path_type=Path))
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="The bundle.  [default: where the audit found it]"
)
@click.option(
    "--asked",
    type=click.IntRange(5),
    default=60,
    show_default=True,
    help="Members of a cluster, and other parts, that the model is asked about.",
)
@click.option(
    "--decide",
    multiple=True,
    metavar="N=keep|ask|bad",
    help="Write into findings.json what you say of cluster N, such as 3=bad; no model is asked.",
)
@click.option("--who", metavar="NAME", help="Who decides.  [default: the user of this machine]")
@click.option("--note", metavar="TEXT", default="", help="Why.")
@click.option(
    "--exclude",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write the images and places of bad clusters into this folder; no model is asked.",
)
@device_options
@trust_option
@lang_option
def clusters(
    audit: Path,
    bundle: Path | None,
    asked: int,
    decide: tuple[str, ...],
    who: str | None,
    note: str,
    exclude: Path | None,
    device: str,
    threads: int | None,
    trust: Path | None,
) -> int:
    """Group the explanations of AUDIT by where the model looks, and prove what each place does.

    AUDIT is the folder of a finished audit. The place of each group is covered in its members and pasted onto
    other parts, and the model is asked again: how many answers change, and how many where as much is covered
    elsewhere? The page clusters.html and findings.json are written into the folder.

    Then a person decides which places are bad: with --decide, or in findings.json itself. --exclude writes
    excluded.csv and masks, and `audit BUNDLE --assert findings.json` asks the next bundle.

    Example: gagrad-edge clusters audit/
    """
    if decide or exclude is not None:
        _decide(audit, decide, who, note, exclude)
        return 0
    if who is not None or note:
        raise SettingError("nothing is decided", where="who" if who is not None else "note",
                           hint="say what you decide with `decide`")  # fmt: skip
    from gagrad_runtime.audit.clusters_page import sentences, write_clusters  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.audit.proving import prove  # noqa: PLC0415
    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415

    with Progress("clusters") as progress:
        plan, findings, kept = prove(
            audit, bundle, asked=asked, device=device, threads=threads, trust=trust, progress=progress
        )
    for one in findings.clusters:
        if one.finding:
            said = plural(
                "cluster {number}: {count} image: {sentences}",
                "cluster {number}: {count} images: {sentences}",
                one.images,
                number=one.number,
                sentences=joined(sentences(one)),
            )
            say(said)
    if kept is not None:
        said = text(
            "some decisions were on places that are not found again: they are kept in {path}", path=kept
        )
        say(said, err=True)
    number = sum(one.finding for one in findings.clusters)
    page = write_clusters(audit, plan, findings)
    counts = {
        "findings": plural("{count} finding", "{count} findings", number),
        "clusters": plural("{count} cluster", "{count} clusters", len(findings.clusters)),
    }
    say(text("{findings} among {clusters} → {page}", **counts, page=page), err=True)
    return 0


def _decide(audit: Path, decide: tuple[str, ...], who: str | None, note: str, exclude: Path | None) -> None:
    """Write decisions, and what follows from them."""
    from gagrad_runtime.audit.clusters_page import write_clusters  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.audit.decisions import (  # noqa: PLC0415
        DECISIONS,
        FINDINGS,
        decided,
        decisions_of,
        read_findings,
        write_findings,
    )
    from gagrad_runtime.audit.exclusion import LIST, write_exclusion  # noqa: PLC0415
    from gagrad_runtime.audit.reading import finished  # noqa: PLC0415

    by = decider(who) if decide else ""
    plan, findings = finished(audit), read_findings(audit / FINDINGS)
    if decide:
        findings = decided(findings, decisions_of(decide), by, note)
        write_findings(audit / FINDINGS, findings)
        page = write_clusters(audit, plan, findings)
        counts = {name: len(findings.called(name)) for name in DECISIONS}
        said = text(
            "{bad} bad, {keep} keep, {ask} ask → {file}, {page}", **counts, file=audit / FINDINGS, page=page
        )
        say(said, err=True)
    if exclude is not None:
        count = write_exclusion(audit, findings, exclude)
        bad = plural("{count} bad cluster", "{count} bad clusters", len(findings.called("bad")))
        said = plural("{count} image of {clusters}", "{count} images of {clusters}", count, clusters=bad)
        say(f"{said} → {exclude / LIST}", err=True)
