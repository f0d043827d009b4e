"""Place 1 of explanations of detections against D-RISE: ``python -m benchmarks.drise [--detections 50]``.

Makes docs/drise.md. D-RISE's maps are kept in ``.drise/``, so a run that was interrupted goes on where it stopped.
About 15 minutes on one core.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.drise import page
from benchmarks.drise.comparing import compared, gradient_cost
from benchmarks.drise.frames import TEST_SERIES
from benchmarks.drise.measuring import WANTED, measured
from benchmarks.drise.picture import write_picture
from benchmarks.drise.subjects import SUBJECTS, Subject
from benchmarks.table import publish

SETTINGS: dict[str, dict[str, Any]] = {
    "the default": {},
    '`preset="paper"`': {"preset": "paper"},
    '`guide="pooled"`': {"guide": "pooled"},
    '`method="layer-cam"`': {"method": "layer-cam"},
}
"""What `explain` is given, under the name in the tables; the default comes first."""

PICTURED = ("defects",)
"""Detectors with a picture on the page; the photographed faces are not ours to show."""


def main() -> None:
    """Measure what is not kept, compare, and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--detections", type=int, default=WANTED, help="of each detector; the page has 50")
    wanted = parser.parse_args().detections
    summaries, sections = [], []
    for subject in SUBJECTS.values():
        summary, *more = _sections(subject, wanted)
        summaries.append(summary)
        sections += more
    if wanted == WANTED:
        publish("drise", page.page(summaries, sections))
    else:
        print("\n".join([*summaries, *sections]))


def _sections(subject: Subject, wanted: int) -> list[str]:
    """Return the summary, then the tables."""
    frames = list(measured(subject, TEST_SERIES, wanted))
    trials = {}
    for name, settings in SETTINGS.items():
        trials[name] = compared(subject, frames, wanted, settings)
        print(f"{subject.name}: {name} done", flush=True)
    masked = float(np.median([one.seconds for one in frames]))
    default = next(iter(trials.values())).rows
    if subject.name in PICTURED:
        write_picture(f"drise-{subject.name}", subject, frames, default)
    return [
        page.summary(subject.title, default),
        f"## {subject.title[0].upper()}{subject.title[1:]}\n",
        page.agreement(trials, grey=subject.grey),
        page.by_class(default),
        "Covering, over all detections:\n",
        page.covering(trials),
        "Where the default's place and D-RISE's differ:\n",
        page.differences(default, grey=subject.grey),
        page.shown(subject.name) if subject.name in PICTURED else "",
        "What one detection costs:\n",
        page.cost(trials, masked, gradient_cost(subject)),
    ]


if __name__ == "__main__":
    main()
