"""What a station's event says of a verdict: the answer, whether the part is NG, and who said it."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Literal

from msgspec import UNSET

from gagrad_runtime.answer.good import says_good
from gagrad_runtime.report.prediction_record import prediction_record
from gagrad_runtime.station.events import VerdictEvent, now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from msgspec import UnsetType

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.rule import Rule


def verdict_event(
    seen: Prediction,
    frame: Frame,
    *,
    name: str,
    part: str | UnsetType | None,
    sha256: str,
    cautions: Sequence[Caution] | None,
    explain: bool,
    seconds: float,
    rule: Rule,
    explainer: Explainer,
    folder: Path,
) -> VerdictEvent:
    """Return the event about what the model says of the frame ``name``, without the number of its row."""
    judgement, found = rule.judge(seen), outcome(rule, seen)
    disk = disk_share(folder)
    return VerdictEvent(
        time=now(),
        file=name,
        part=part,
        verdict=seen.verdict,
        probability=seen.probability,
        explain=explain,
        seconds=round(seconds, 6),
        ng=UNSET if judgement is None else judgement.ng,
        reason=judgement.condition.text if judgement is not None and judgement.condition else UNSET,
        said=UNSET if seen.task == "classification" else prediction_record(seen, frame),
        outcome=UNSET if found is None else found,
        bundle=explainer.manifest.name,
        bundle_sha256=explainer.bundle_sha256,
        sha256=sha256,
        disk=UNSET if disk is None else disk,
        cautions=UNSET if cautions is None else [one.code for one in cautions],
    )


def outcome(rule: Rule, seen: Prediction) -> Literal["OK", "NG"] | None:
    """Return whether the part is NG or OK; None where nobody has told which answers are good.

    The rule's conditions say so, else a score's limit or the names of the classes, else the classes that the
    rule calls good.
    """
    judgement = rule.judge(seen)
    if judgement is not None:
        return "NG" if judgement.ng else "OK"
    good = says_good(seen)
    if good is None and rule.good:
        good = all(name in rule.good for name in seen.present)
    return None if good is None else "OK" if good else "NG"


def disk_share(folder: Path) -> float | None:
    """Return the share of the disk of ``folder`` that is used, 0..1; None where the system does not tell."""
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage(folder)
        return round(disk.used / (disk.used + disk.free), 4)
    return None
