"""Does the next model still do what a person called bad? It is asked about the same images and places.

The place of each bad cluster is covered in the members that are stored with it, and pasted onto the stored
parts of other answers; as much is covered and pasted elsewhere. What is counted is that the answer changes,
so the next model may call its answers otherwise.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from gagrad_edge.errors import InputError, SettingError
from gagrad_runtime.audit import clustering, intervention
from gagrad_runtime.audit.decisions import read_findings
from gagrad_runtime.audit.intervention import BundleAsker, Rate, seen_by_another
from gagrad_runtime.language import text
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gagrad_runtime.audit.decisions import Cluster, Findings, Image
    from gagrad_runtime.audit.intervention import Asker, Part, Where

Outcome = Literal["still", "gone", "unclear"]
AT_MOST = 0.15
"""Share of parts whose answer may change with a bad place, as some parts are close to another answer."""
ENOUGH = 0.5
"""Share of the stored images of a cluster, and of its other parts, that must still be there."""


@dataclass(frozen=True)
class Checked:
    """What the next model does with one place that was called bad."""

    cluster: Cluster
    outcome: Outcome
    covered: Rate
    """Members whose answer changes with the place covered."""
    covered_elsewhere: Rate
    pasted: Rate
    """Parts of other answers whose answer changes with the place pasted onto them."""
    pasted_elsewhere: Rate
    missing: tuple[str, ...]
    """Images that are gone, are no images any more, or have other pixels than before."""


def check_findings(
    bundle: Path,
    file: Path,
    *,
    at_most: float = AT_MOST,
    device: str = "auto",
    threads: int | None = None,
    trust: Path | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Findings, list[Checked]]:
    """Return the findings in ``file``, and what ``bundle`` does with those that a person called bad.

    Without a bad one the bundle is not opened. Raises SettingError for a limit that is none, InputError for a
    damaged file or too many missing images, and what opening a bundle raises.
    """
    if not 0 < at_most < 1:
        raise SettingError(
            f"{at_most} is no share of parts", where="at_most", hint="give one above 0, below 1"
        )
    findings = read_findings(file)
    if not findings.called("bad"):
        return findings, []
    with open_session(bundle, device, threads=threads, trust=trust) as session:
        asker = BundleAsker(session.explainer)
        return findings, checked(findings, asker, at_most=at_most, where=str(file), progress=progress)


def checked(
    findings: Findings,
    asker: Asker,
    *,
    at_most: float = AT_MOST,
    where: str = "findings",
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> list[Checked]:
    """Return what the model behind ``asker`` does with each bad place. Raises InputError."""
    bad = findings.called("bad")
    found = []
    for number, one in enumerate(bad):
        progress(number, len(bad))
        found.append(_checked(findings, one, asker, at_most, where))
    progress(len(bad), len(bad))
    return found


def _checked(findings: Findings, one: Cluster, asker: Asker, at_most: float, file: str) -> Checked:
    for name in ("place", "members"):
        if not getattr(one, name):  # nothing would be covered, nothing would change, and all would look well
            raise InputError(
                f"cluster {one.number}, {name}: it is empty, so nothing can be asked",
                where=file,
                hint="find the clusters again with gagrad-edge clusters AUDIT, or call this one `keep`",
            )
    asked_about = _once(one.members)
    members, gone = _there(asker, asked_about)
    _enough(members, asked_about, gone, f"members of cluster {one.number}", file)
    stored = _once(findings.others.get(one.verdict, []))
    others, gone_too = _there(asker, stored)
    _enough(others, stored, gone_too, f"parts that the place of cluster {one.number} is pasted onto", file)
    others = [part for part in others if part.verdict != one.verdict]
    beside = clustering.elsewhere(np.array(one.mean), one.place)
    at = partial(seen_by_another, one.place, findings.input)
    elsewhere = partial(seen_by_another, beside, findings.input)
    rates = (
        _covered(asker, members, at),
        _covered(asker, members, elsewhere),
        _pasted(asker, others, members, at),
        _pasted(asker, others, members, elsewhere),
    )
    return Checked(one, outcome(*rates, at_most=at_most), *rates, missing=(*gone, *gone_too))


def outcome(
    covered: Rate, covered_elsewhere: Rate, pasted: Rate, pasted_elsewhere: Rate, *, at_most: float
) -> Outcome:
    """Return what the rates say; intervals decide, so that few images are unclear and not fine.

    ``still`` where by covering or by pasting more answers change than ``at_most`` and than elsewhere;
    ``gone`` where by neither more than ``at_most`` can change; else ``unclear``.
    """
    pairs = [(covered, covered_elsewhere), (pasted, pasted_elsewhere)]
    asked = [(rate, beside) for rate, beside in pairs if rate.of]
    if any(rate.interval[0] > at_most and (not beside.of or rate.above(beside)) for rate, beside in asked):
        return "still"
    if covered.of and all(rate.interval[1] <= at_most for rate, _ in asked):
        return "gone"
    return "unclear"


def _covered(asker: Asker, members: Sequence[Part], where: Where) -> Rate:
    """Return how many members change; a place that the model does not see cannot change its answer."""
    return Rate(intervention.covering(asker, members, where)[0].changed, len(members))


def _pasted(asker: Asker, others: Sequence[Part], members: Sequence[Part], where: Where) -> Rate:
    said = intervention.pasting(asker, others, members, where)
    return Rate(sum(before != after for before, after in said), len(others))


def _once(images: Sequence[Image]) -> list[Image]:
    """Return ``images`` with the same pixels once: a part that was photographed once is one part."""
    return list({one.sha256: one for one in reversed(images)}.values())[::-1]


def _there(asker: Asker, images: Sequence[Image]) -> tuple[list[Part], list[str]]:
    """Return the images that are as they were, and the paths of the others."""
    parts, gone = [], []
    for image in images:
        part = intervention.part_of(asker, image.path)
        if part is None or part.sha256 not in ("", image.sha256):
            gone.append(image.path)
        else:
            parts.append(part)
    return parts, gone


def _enough(
    there: Sequence[Part], stored: Sequence[Image], gone: Sequence[str], what: str, file: str
) -> None:
    if len(there) < ENOUGH * len(stored):
        raise InputError(
            f"{len(gone)} of the {len(stored)} {what} are gone or changed, such as {gone[0]}",
            where=file,
            hint="bring the images back to where they were, or write in the file where they are now",
        )


def table(found: Sequence[Checked]) -> list[str]:
    """Return a table for people in the current language, one line each, the columns aligned."""
    words = {"still": text("STILL BAD"), "gone": text("gone"), "unclear": text("cannot tell")}
    covered, pasted, elsewhere = text("covered"), text("pasted"), text("elsewhere")
    head = [text("cluster"), text("place"), text("answer"), covered, elsewhere, pasted, elsewhere]
    rows = [[*head, text("result")]]
    for one in found:
        rates = map(_rate, (one.covered, one.covered_elsewhere, one.pasted, one.pasted_elsewhere))
        cluster = one.cluster
        rows.append([str(cluster.number), text(cluster.where), cluster.verdict, *rates, words[one.outcome]])
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_padded, row, widths)).rstrip() for row in rows]


def _rate(rate: Rate) -> str:
    return rate.words if rate.of else text("not asked")


def _padded(word: str, width: int) -> str:
    return word + " " * (width - _width(word))


def _width(word: str) -> int:
    """Return how many columns of a terminal ``word`` takes: letters of Japanese take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "FW" else 1 for letter in word)
