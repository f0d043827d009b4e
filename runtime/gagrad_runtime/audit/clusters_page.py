"""The page of an audit's clusters: one section each, with the finding in a sentence."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_runtime.audit.page import heat
from gagrad_runtime.audit.thumbnails import Thumbnails
from gagrad_runtime.language import current, plural, text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.report.html_page import escape, fill, font, image, style

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.audit.decisions import Cluster, Findings
    from gagrad_runtime.audit.plan import Plan

PAGE = "clusters.html"


def sentences(cluster: Cluster) -> list[str]:
    """Return what was found of a cluster, in sentences for people."""
    names = {"where": text(cluster.where), "answer": cluster.verdict, "rate": cluster.covered.words}
    if cluster.becomes:
        found = [
            text(
                "Covering {where} turns {rate} of these '{answer}' into another answer, mostly '{becomes}'.",
                **names,
                becomes=cluster.becomes,
            )
        ]
    else:
        found = [text("Covering {where} turns {rate} of these '{answer}' into another answer.", **names)]
    if cluster.covered_elsewhere.of:
        rate = cluster.covered_elsewhere.words
        found.append(text("Covering as much elsewhere turns {rate} into another answer.", rate=rate))
    if cluster.pasted.of:
        names["rate"] = cluster.pasted.words
        found.append(text("Pasting the place onto other parts turns {rate} into '{answer}'.", **names))
    if cluster.pasted_elsewhere.of:
        names["rate"] = cluster.pasted_elsewhere.words
        found.append(text("Pasting as much from elsewhere turns {rate} into '{answer}'.", **names))
    found.append(
        text(
            "{rate} explained '{answer}' look there; the place is {area} of all that they look at.",
            **names | {"rate": cluster.share.words},
            area=share_text(cluster.area),
        )
    )
    return found


def decision_text(cluster: Cluster) -> str:
    """Return what a person said of a cluster: what, who, when and why."""
    said = {"keep": text("decision: keep"), "ask": text("decision: ask"), "bad": text("decision: bad")}
    when = "" if cluster.when is None else f"{cluster.when:%Y-%m-%d}"
    by = ", ".join(part for part in (cluster.who, when) if part)
    return " · ".join(part for part in (said[cluster.decision], by, cluster.note) if part)


def write_clusters(folder: Path, plan: Plan, findings: Findings) -> Path:
    """Write ``clusters.html`` into the audit's ``folder``, and return its path. Raises OutputError."""
    pictures = Thumbnails(folder, plan)
    number = sum(one.finding for one in findings.clusters)
    facts = (
        text("{count} explained images", count=f"{findings.explained:,}"),
        plural("{count} cluster", "{count} clusters", len(findings.clusters)),
        plural("{count} finding", "{count} findings", number),
        text("{count} in no cluster", count=f"{findings.unlike:,}"),
    )
    plain = {
        "title": plural(
            "Where the model looks: {count} cluster",
            "Where the model looks: {count} clusters",
            len(findings.clusters),
        ),
        "facts": " · ".join(facts),
        "w_says": text(
            "Each section is a group of explanations that look at the same place. How a group looks "
            "proves nothing: the place was covered in its members and pasted onto other parts, and the model "
            "was asked again."
        ),
        "w_person": text(
            "A defect decides wherever it lies, so a place is a finding only if more images look there than "
            "its share of all that they look at. It may still be the defect itself, where that always lies "
            "at the same place, such as a missing hole. Whether the place may decide, a person has to say."
        ),
        "w_least": text("not at all"),
        "w_most": text("most"),
    }
    values = {
        **{name: escape(word) for name, word in plain.items()},
        "language": current(),
        "style": style(),
        "font": font(),
        "clusters": "".join(_section(one, pictures) for one in findings.clusters),
    }
    template = resources.files(__package__).joinpath("clusters.html").read_text(encoding="utf-8")
    page = fill(template, {**values, "pictures": pictures.style()})
    write_atomic(folder / PAGE, [page.encode()])
    return folder / PAGE


def _section(cluster: Cluster, pictures: Thumbnails) -> str:
    mean = np.array(cluster.mean)
    words = plural("mean map of {count} image", "mean map of {count} images", cluster.images)
    verdicts = ", ".join(f"{name} {count:,}" for name, count in cluster.verdicts.items())
    stations = ", ".join(f"{name} {count:,}" for name, count in cluster.stations.items())
    dates = text("{first} to {last}", first=cluster.first, last=cluster.last) if cluster.first else ""
    facts = " · ".join(part for part in (verdicts, stations, dates) if part)
    lines = "".join(f"<p>{escape(line)}</p>" for line in sentences(cluster))
    mark = ' class="finding"' if cluster.finding else ""
    said = plural(
        "{where}: {count} image, {state}", "{where}: {count} images, {state}",
        cluster.images, where=text(cluster.where), state=_state(cluster),
    )  # fmt: skip
    title = f"{cluster.number} · {said}"
    lines += f"<p><strong>{escape(decision_text(cluster))}</strong></p>"
    return (
        f"<section{mark}><h2>{escape(title)}</h2>"
        f'<div class="maps"><figure>{image(heat(mean / (mean.max() or 1.0)), words)}'
        f"<figcaption>{escape(words)}</figcaption></figure>"
        f"<div>{lines}<p class=quiet>{escape(facts)}</p>{pictures.html(cluster.rows)}</div></div></section>"
    )


def _state(cluster: Cluster) -> str:
    if cluster.finding:
        return text("finding")
    return text("the place decides") if cluster.proven else text("not proven")
