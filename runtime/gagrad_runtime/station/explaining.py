"""What a station's explanations are: the table ``[explain]``, checked before the first frame comes.

A wrong class, method or region would fail on every frame, in the night too. So what no frame can have is
refused at the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import SettingError, TargetError
from gagrad_runtime.answer.choices import check_class
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.question.settings import NAMES
from gagrad_runtime.report.roi import check_limit, read_roi
from gagrad_runtime.session.good import beside

if TYPE_CHECKING:
    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.report.roi import Roi
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.config import ExplainTable, StationConfig


@dataclass(frozen=True)
class Explaining:
    """What is explained of a frame and how, and what each map is compared with."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Keywords of ``Explainer.refine``: settings, ``target`` and ``against``."""
    roi: Roi | None = None
    """Where maps should lie."""
    roi_limit: float | None = None
    """Share of a map, 0..1, that must lie there; None: the share is told, and nothing fails."""
    reuse: float | None = None
    """Most seconds for which an explanation is used again while frames show the same; None: never."""
    words: str = ""
    """All this in a few words, for whoever checks a station."""


def explaining_of(config: StationConfig, explainer: Explainer) -> Explaining:
    """Return what the explanations of the station are.

    Raises SettingError and TargetError, whose ``where`` is the key in the table, and RoiError.
    """
    table = config.explain
    given = {name: getattr(table, name) for name in NAMES}
    if table.samples is None:
        given["samples"] = config.samples
    settings = explainer.check_settings(**given)
    _check_classes(table, explainer.manifest.output)
    if table.roi is None and table.roi_limit is not None:
        raise SettingError(
            "there is no region to judge by", where="roi_limit", hint="give the file of the region as `roi`"
        )
    check_limit(table.roi_limit)
    asked = {name: getattr(table, name) for name in ("target", "against")}
    return Explaining(
        settings={name: value for name, value in {**given, **asked}.items() if value is not None},
        roi=None if table.roi is None else read_roi(table.roi),
        roi_limit=table.roi_limit,
        reuse=table.reuse,
        words=_words(table, settings, explainer),
    )


def good_of(config: StationConfig) -> str | bool | None:
    """Return the file of good parts as ``load`` takes it."""
    good = config.explain.good
    return str(beside(config.bundle or "")) if good is True else good


def files_of(config: StationConfig) -> dict[str, str]:
    """Return the keys of the table that name files, by the file: errors are about either."""
    named = {"roi": config.explain.roi, "good": good_of(config)}
    return {path: key for key, path in named.items() if isinstance(path, str)}


def _check_classes(table: ExplainTable, spec: OutputSpec) -> None:
    """Raise TargetError for a class that no frame can be explained for."""
    indices = {}
    for where in ("target", "against"):
        choice = getattr(table, where)
        if choice is None:
            continue
        if spec.task == "sequence":
            raise TargetError("a text line is explained as a whole", where=where, hint="leave it out")
        indices[where] = check_class(str(choice), spec, where)
    if table.against is None:
        return
    if spec.task == "anomaly" or math.prod(spec.shape) == 1:
        raise TargetError(
            "there is one score, and nothing to compare it with", where="against", hint="leave it out"
        )
    if table.target == table.against or indices.get("target", ()) == indices["against"]:
        raise TargetError(
            f"{table.against} cannot be explained against itself",
            where="against",
            hint="choose another class",
        )


def _words(table: ExplainTable, settings: Settings, explainer: Explainer) -> str:
    said = [settings.method.name, f"{settings.samples} samples"]
    if table.target is not None:
        said.append(f"of {table.target}")
    if table.against is not None:
        said.append(f"against {table.against}")
    said += ["RCAP"] * settings.rcap + ["covering test"] * settings.cover
    known = explainer.reference
    said.append("nothing known of good parts" if known is None else f"compared with {known.parts} good parts")
    if table.roi is not None:
        least = "" if table.roi_limit is None else f", at least {share_text(table.roi_limit)} there"
        said.append(f"region {table.roi}{least}")
    if table.reuse is not None:
        said.append(f"used again for {table.reuse:g} s while frames show the same")
    return ", ".join(said)
