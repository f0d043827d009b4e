"""The page of an audit's clusters: one section each, with the finding in a sentence."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_edge.summary import counted
from gagrad_runtime.audit.page import heat
from gagrad_runtime.audit.thumbnails import Thumbnails
from gagrad_runtime.report.html_page import escape, fill, image, legend

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.audit.decisions import Cluster, Findings
    from gagrad_runtime.audit.plan import Plan

PAGE = "clusters.html"


def sentences(cluster: Cluster) -> list[str]:
    """Return what was found of a cluster, in sentences for people."""
    covered = f"Covering {cluster.where} turns {cluster.covered} of these {cluster.verdict!r}"
    found = [
        f"{covered} into another answer" + (f", mostly {cluster.becomes!r}." if cluster.becomes else ".")
    ]
    if cluster.covered_elsewhere.of:
        found.append(f"Covering as much elsewhere turns {cluster.covered_elsewhere}.")
    if cluster.pasted.of:
        found.append(f"Pasting the place onto other parts turns {cluster.pasted} into {cluster.verdict!r}.")
    if cluster.pasted_elsewhere.of:
        found.append(f"Pasting as much from elsewhere turns {cluster.pasted_elsewhere}.")
    there = f"{cluster.share} explained {cluster.verdict!r} look there"
    found.append(f"{there}; the place is {cluster.area:.0%} of all that they look at.")
    return found


def decision_text(cluster: Cluster) -> str:
    """Return what a person said of a cluster: who, when and why."""
    when = "" if cluster.when is None else f"{cluster.when:%Y-%m-%d}"
    by = ", ".join(part for part in (cluster.who, when) if part)
    return " · ".join(part for part in (f"decision: {cluster.decision}", by, cluster.note) if part)


def write_clusters(folder: Path, plan: Plan, findings: Findings) -> Path:
    """Write ``clusters.html`` into the audit's ``folder``, and return its path. Raises OutputError."""
    pictures = Thumbnails(folder, plan)
    number = sum(one.finding for one in findings.clusters)
    facts = (
        f"{findings.explained:,} explained images · {counted(len(findings.clusters), 'cluster')}, "
        f"{counted(number, 'finding')} · {findings.unlike:,} in no cluster"
    )
    values = {
        "title": escape(f"Where the model looks: {counted(len(findings.clusters), 'cluster')}"),
        "facts": escape(facts),
        "clusters": "".join(_section(one, pictures) for one in findings.clusters),
        "legend": legend(),
    }
    template = resources.files(__package__).joinpath("clusters.html").read_text(encoding="utf-8")
    page = fill(template, {**values, "pictures": pictures.style()})
    write_atomic(folder / PAGE, [page.encode()])
    return folder / PAGE


def _section(cluster: Cluster, pictures: Thumbnails) -> str:
    mean = np.array(cluster.mean)
    words = f"mean map of {counted(cluster.images, 'image')}"
    verdicts = ", ".join(f"{name} {count:,}" for name, count in cluster.verdicts.items())
    stations = ", ".join(f"{name} {count:,}" for name, count in cluster.stations.items())
    dates = f"{cluster.first} to {cluster.last}" if cluster.first else ""
    facts = " · ".join(part for part in (verdicts, stations, dates) if part)
    lines = "".join(f"<p>{escape(line)}</p>" for line in sentences(cluster))
    state = "finding" if cluster.finding else "the place decides" if cluster.proven else "not proven"
    mark = ' class="finding"' if cluster.finding else ""
    title = f"{cluster.number} · {cluster.where}: {counted(cluster.images, 'image')}, {state}"
    lines += f"<p><strong>{escape(decision_text(cluster))}</strong></p>"
    return (
        f"<section{mark}><h2>{escape(title)}</h2>"
        f'<div class="maps"><figure>{image(heat(mean / (mean.max() or 1.0)), words)}'
        f"<figcaption>{escape(words)}</figcaption></figure>"
        f"<div>{lines}<p class=quiet>{escape(facts)}</p>{pictures.html(cluster.rows)}</div></div></section>"
    )
