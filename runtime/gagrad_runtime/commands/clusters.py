"""``gagrad-edge clusters``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.summary import counted
from gagrad_runtime.commands.options import device_options, lang_option, trust_option


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
@device_options
@trust_option
@lang_option
def clusters(
    audit: Path, bundle: Path | None, asked: int, device: str, threads: int | None, trust: Path | None
) -> int:
    """Group the explanations of AUDIT by where the model looks, and prove what each place does.

    AUDIT is the folder of a finished audit. The place of each group is covered in its members and pasted onto
    other parts, and the model is asked again: how many answers change, and how many where as much is covered
    elsewhere? The page clusters.html and findings.json are written into the folder.

    Example: gagrad-edge clusters audit/
    """
    from gagrad_runtime.audit.clusters_page import sentences, write_clusters  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.audit.proving import prove  # noqa: PLC0415
    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415

    with Progress("clusters") as progress:
        plan, findings = prove(
            audit, bundle, asked=asked, device=device, threads=threads, trust=trust, progress=progress
        )
    for one in findings.clusters:
        if one.finding:
            say(f"{one.images} images: {' '.join(sentences(one))}")
    number = sum(one.finding for one in findings.clusters)
    page = write_clusters(audit, plan, findings)
    groups = counted(len(findings.clusters), "cluster")
    say(f"{counted(number, 'finding')} among {groups} → {page}", err=True)
    return 0
