"""The page ``docs/where.md``: what was measured, beside what was aimed at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.table import machine, markdown
from benchmarks.where import tables
from benchmarks.where.networks import TITLES
from benchmarks.where.shares import Share, mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.where.tables import Record, Records

NONE = "not measured yet"


def page(measured: Mapping[str, Records], beside: Mapping[str, Any]) -> str:
    """Return the page; ``measured`` are the records by setting, ``beside`` the other figures."""
    text = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    today, operator, good = (measured.get(name, {}) for name in ("today", "operator", "good"))
    named = {
        title: records
        for title, records in (("today", today), ("operator", operator), ("operator, good parts", good))
        if records
    }
    first = operator or today
    values = {
        "bars": bars(today, operator, good, measured.get("shuffled", {}), beside),
        "accuracy": tables.accuracy(first),
        "networks": len(first),
        "missing": _missing([name for name in TITLES if name not in first]),
        "pointing": tables.pointing(named),
        "classes": tables.by_group(named, "class"),
        "families": tables.by_group(named, "family"),
        "cautions": tables.cautions(operator) if operator else NONE + "\n",
        "cautions_good": tables.cautions(good) if good else NONE + "\n",
        "covering": covering(operator) if operator else NONE + "\n",
        "brightness": tables.brightness(good) if good else NONE + "\n",
        "stickers": beside.get("stickers", NONE),
        "broken": beside.get("broken", NONE + "\n"),
        "cost": beside.get("cost", NONE + "\n"),
        "formulas": beside.get("formulas", NONE + "\n"),
        "trust": beside.get("trust", NONE + "\n"),
        "machine": machine("onnxruntime", "torch", "timm", "torchvision", "numpy"),
    }
    return text.format(**values)


def _missing(names: list[str]) -> str:
    """Return a sentence about the networks that are not measured yet."""
    if not names:
        return ""
    return (
        f" {' and '.join(TITLES[name] for name in names)}: not measured yet; `make where` goes on with them."
    )


def bars(
    today: Records, operator: Records, good: Records, shuffled: Records, beside: Mapping[str, Any]
) -> str:
    """Return the table of the aims: today's figure, the aim, and the mean over networks."""
    place = "place 1 on the defect, features present"
    rows = [
        [place, _of(today, "present", tables.highest), "≥ .95", _of(operator, "present", tables.one)],
        [
            "place 1 or 2, absent features",
            _of(today, "absent", tables.two),
            "≥ .90",
            _of(operator, "absent", tables.two),
        ],
        ["place 1 with 8 good parts, present", "–", "≥ .97", _of(good, "present", tables.one)],
        ["place 1 with 8 good parts, absent", "–", "≥ .95", _of(good, "absent", tables.one)],
        [
            "place 1 on a planted shortcut",
            _of(today, "shortcut", tables.highest),
            "≥ .97",
            _of(operator, "shortcut", tables.one),
        ],
        *_cautions(
            today, operator, "", {"cautions on wrong places": "≥ .60", "cautions on right places": "≤ .10"}
        ),
        *_cautions(
            {},
            good,
            ", with good parts",
            {"cautions on wrong places": "≥ .60", "cautions on right places": "≤ .10"},
        ),
        *_cautions(today, operator, "", {"wrong answers with p < .9 or an escape: cautioned": "≥ .80"}),
        ["broken inputs noticed", "–", "≥ .95", beside.get("noticed", "–")],
        [
            "OK parts that look alarming after calibration",
            "–",
            "≤ .02",
            _mean(list(tables.alarming(good).values())),
        ],
        ["shuffled network: cautioned", "–", "≥ .90", _alarm(shuffled, lambda _: True)],
        ["cost: as fast as today's, times", "1", "≥ 3", beside.get("faster", "–")],
    ]
    return markdown(["", "today", "aim", "now"], rows)


_GROUPS: dict[str, Callable[[Record], bool]] = {
    "cautions on wrong places": tables.wrong_place,
    "cautions on right places": tables.right_place,
    "wrong answers with p < .9 or an escape: cautioned": tables.wrong_answer,
}


def _cautions(today: Records, now: Records, more: str, aims: Mapping[str, str]) -> list[list[str]]:
    """Return rows of how many parts of some groups have a caution."""
    return [
        [title + more, _alarm(today, _GROUPS[title]), aim, _alarm(now, _GROUPS[title])]
        for title, aim in aims.items()
    ]


def _of(records: Records, kind: str, judge: Callable[[Record], bool]) -> str:
    """Return the mean over networks, and the lowest and the highest network."""
    return _mean([Share(judge(r) for r in tables.right(found, kind)) for found in records.values()])


def _alarm(records: Records, chosen: Callable[[Record], bool]) -> str:
    return _mean(list(tables.cautioned(records, chosen).values()))


def _mean(shares: list[Share]) -> str:
    values = [one.value for one in shares if one.count]
    total = sum(one.count for one in shares)
    return f"{mean(shares):.2f} ({min(values):.2f} to {max(values):.2f}; {total} parts)" if values else "–"


def covering(records: Records) -> str:
    """Return how often covering changes the answer, where the place is right and where it is not."""
    groups: dict[str, Callable[[Record], bool]] = {
        "place right": tables.right_place,
        "no place right": tables.wrong_place,
        "answer wrong": lambda r: r["answer"] != r["class"],
    }
    rows = []
    for name, found in records.items():
        tested = [r for r in found if r["covering"] and r["kind"] != "ok"]
        cells = [
            str(Share(any(r["covering"]["changed"]) for r in tested if chosen(r)))
            for chosen in groups.values()
        ]
        elsewhere = Share(any(r["covering"]["controls_changed"]) for r in tested)
        rows.append([TITLES[name], *cells, str(elsewhere)])
    return markdown(["network", *(f"{group}: changes" for group in groups), "a control place changes"], rows)


def cost(seconds: Mapping[str, Mapping[str, list[float]]]) -> tuple[str, str]:
    """Return the table of times by network and setting, measured in turn, and how much faster the operator's is."""
    rows, ratios = [], []
    for name, by_setting in seconds.items():
        today, now = by_setting["today"], by_setting["operator"]
        ratio = np.asarray(today) / np.asarray(now)
        ratios.append(float(np.median(ratio)))
        rows.append(
            [
                TITLES[name],
                f"{np.median(today) * 1000:.0f} ms",
                f"{np.median(now) * 1000:.0f} ms",
                f"{ratios[-1]:.1f}",
            ]
        )
    return (
        markdown(["network", "today", "operator", "times as fast"], rows),
        f"{np.mean(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
    )


def broken(found: Mapping[str, Mapping[str, list[bool]]]) -> tuple[str, str]:
    """Return the table of broken inputs by network, and the mean share of them that is noticed."""
    titles = list(next(iter(found.values())))
    rows = [[title, *(str(Share(by[title])) for by in found.values())] for title in titles]
    shares = [Share(one for title in titles[1:] for one in by[title]) for by in found.values()]
    return markdown(["what is wrong", *(TITLES[name] for name in found)], rows), _mean(shares)
