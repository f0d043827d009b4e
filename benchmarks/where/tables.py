"""Tables of the records that ``measuring`` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.table import markdown
from benchmarks.where.defects import CLASSES
from benchmarks.where.designs import FAMILIES
from benchmarks.where.networks import TITLES
from benchmarks.where.shares import Share, mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Record = dict[str, Any]
Records = dict[str, list[Record]]
"""By network."""


def one(record: Record) -> bool:
    """Return whether place 1 is on the reason."""
    return bool(record["places"]) and bool(record["places"][0]["hit"])


def two(record: Record) -> bool:
    """Return whether place 1 or 2 is on the reason."""
    return any(place["hit"] for place in record["places"][:2])


def highest(record: Record) -> bool:
    """Return whether the highest point of the map is on the reason."""
    return bool(record["highest"])


def right(records: Sequence[Record], kind: str) -> list[Record]:
    """Return the parts of ``kind`` that the network names rightly: their reason is known."""
    return [r for r in records if r["kind"] == kind and r["answer"] == r["class"]]


def accuracy(records: Records) -> str:
    """Return how often each network names the test parts rightly, by class."""
    rows = []
    for name, found in records.items():
        by_class = [Share(r["answer"] == r["class"] for r in found if r["class"] == kind) for kind in CLASSES]
        rows.append([TITLES[name], f"{mean(by_class):.2f}", *(f"{share.value:.2f}" for share in by_class)])
    return markdown(["network", "mean over classes", *CLASSES], rows)


def pointing(by_setting: Mapping[str, Records]) -> str:
    """Return place 1 and place 1 or 2 by kind, network and setting, with intervals, and the means."""
    rows = []
    for title, records in by_setting.items():
        for kind in ("present", "absent", "shortcut"):
            columns: dict[str, list[Share]] = {"highest": [], "one": [], "two": []}
            for name, found in records.items():
                chosen = right(found, kind)
                shares = [Share(judge(r) for r in chosen) for judge in (highest, one, two)]
                for share, column in zip(shares, columns.values(), strict=True):
                    column.append(share)
                rows.append([title, kind, TITLES[name], len(chosen), *map(str, shares)])
            if records:
                rows.append(
                    [
                        f"**{title}**",
                        f"**{kind}**",
                        "**mean**",
                        "",
                        *(f"**{mean(c):.2f}**" for c in columns.values()),
                    ]
                )
    return markdown(["map", "kind", "network", "parts", "highest point", "place 1", "place 1 or 2"], rows)


def by_group(by_setting: Mapping[str, Records], group: str) -> str:
    """Return the mean over networks of place 1 and of place 1 or 2, for each value of ``group``."""
    values = list(CLASSES[1:]) if group == "class" else list(FAMILIES)
    rows = []
    for title, records in by_setting.items():
        for judge, words in ((one, "place 1"), (two, "place 1 or 2")):
            cells = []
            for value in values:
                shares = [
                    Share(
                        judge(r)
                        for kind in ("present", "absent", "shortcut")
                        for r in right(found, kind)
                        if r[group] == value
                    )
                    for found in records.values()
                ]
                cells.append(f"{mean(shares):.2f}")
            rows.append([title, words, *cells])
    return markdown(["map", "", *values], rows)


def cautioned(
    records: Records, chosen: Callable[[Record], bool], codes: Sequence[str] | None = None
) -> dict[str, Share]:
    """Return by network the share of the ``chosen`` parts with a caution, of ``codes`` where given."""
    return {
        name: Share(any(codes is None or code in codes for code in r["cautions"]) for r in found if chosen(r))
        for name, found in records.items()
    }


def wrong_place(record: Record) -> bool:
    """Return whether the answer is right and neither place is."""
    return record["kind"] != "ok" and record["answer"] == record["class"] and not two(record)


def right_place(record: Record) -> bool:
    """Return whether the answer is right and place 1 is."""
    return record["kind"] != "ok" and record["answer"] == record["class"] and one(record)


def wrong_answer(record: Record) -> bool:
    """Return whether the answer is wrong, and either an escape or of a probability below 0.9."""
    escape = record["answer"] == "ok" and record["class"] != "ok"
    return record["answer"] != record["class"] and (escape or record["probability"] < 0.9)


def cautions(records: Records) -> str:
    """Return for each code on how many parts of each group it stands."""
    codes = sorted({code for found in records.values() for r in found for code in r["cautions"]})
    groups: dict[str, Callable[[Record], bool]] = {
        "place right": right_place,
        "no place right": wrong_place,
        "wrong answer, p < .9 or an escape": wrong_answer,
        "OK parts called ok": lambda r: r["kind"] == "ok" and r["answer"] == "ok",
    }
    rows = []
    for code in [None, *codes]:
        cells = []
        for chosen in groups.values():
            shares = cautioned(records, chosen, None if code is None else [code])
            total = sum(shares.values(), Share(()))
            cells.append(str(total))
        rows.append(["any" if code is None else f"`{code}`", *cells, str(_precision(records, code))])
    return markdown(["caution", *groups, "of those with it: place or answer wrong"], rows)


def _precision(records: Records, code: str | None) -> Share:
    """Return, of the parts with a caution that are not rightly called ok, how many have a wrong place or answer."""
    return Share(
        not right_place(r)
        for found in records.values()
        for r in found
        if (r["cautions"] if code is None else code in r["cautions"])
        and not (r["kind"] == "ok" and r["answer"] == "ok")
    )


TOP = 2.0
"""Value at which a colour scale of good parts ends, in units of what good parts reach: the brightest colour."""


def alarming(records: Records) -> dict[str, Share]:
    """Return by network on how many parts that are good and called so a place has the brightest colour."""
    return {
        name: _bright(found, lambda r: r["kind"] == "ok" and r["answer"] == "ok")
        for name, found in records.items()
    }


def brightness(records: Records) -> str:
    """Return how often a place has the brightest colour of the scale of good parts."""
    groups: dict[str, Callable[[Record], bool]] = {
        "OK parts called ok": lambda r: r["kind"] == "ok" and r["answer"] == "ok",
        "present, called so": lambda r: r["kind"] == "present" and r["answer"] == r["class"],
        "absent, called so": lambda r: r["kind"] == "absent" and r["answer"] == r["class"],
    }
    rows = [
        [TITLES[name], *(str(_bright(found, chosen)) for chosen in groups.values())]
        for name, found in records.items()
    ]
    return markdown(["network", *groups], rows)


def _bright(found: Sequence[Record], chosen: Callable[[Record], bool]) -> Share:
    return Share(r["reach"] >= TOP for r in found if r["reach"] is not None and chosen(r))
