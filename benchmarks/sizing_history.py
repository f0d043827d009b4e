"""A year of 10⁸ images on paper: processor, disk, machines, from rates that were measured.

``python -m benchmarks.sizing_history`` prints the section that ``benchmarks.sizing`` puts into
docs/sizing.md. The rates come from ``benchmarks.audit_overhead`` and ``benchmarks.audit_scale``
(docs/audit-speed.md); measure them on your machine, and put them in here.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.table import markdown

IMAGES, EXPLAINED = 1e8, 0.04
"""Images of a year, and share of them that is explained: 2 % NG, 2 % unsure or with a caution, 1 in 1000."""
NIGHT, CORE_HOUR, TERABYTE_MONTH = 8 * 3600, 0.05, 25.0
"""Seconds; prices in dollars that are assumed: a processor core for an hour, a terabyte of objects for a month."""
ROW, EXPLAINED_ROW, PATH = 200.0, 450.0, 8.1
"""Bytes of the table's rows without and with a map, and of a path in the plan, compressed."""


@dataclass(frozen=True)
class Rate:
    """Seconds of processor of one thread on the EPYC of docs/audit-speed.md, by model; frames of 288 by 288."""

    model: str
    row: float
    """To read an image, have the answer, and make the row."""
    explanation: float
    """Preset ``operator``."""


RATES = (
    Rate("the demo's classifier", 0.0052, 0.055),
    Rate("EfficientNet-Lite0", 0.0093, 0.14),
    Rate("ResNet-50", 0.0388, 0.71),
)
TEXT = """
## A history of 10⁸ images a year
**On paper**, from rates measured on one machine (AMD EPYC, one thread, processor time, November 2026, [audit-speed.md](audit-speed.md)): frames of 288 by 288 as
PNG; {explained} of the images explained; no time spent waiting for the disk or the network. Prices are assumptions: {core} dollars for a core and an hour, {terabyte:.0f} for a
terabyte of objects and a month. Put in yours.

{table}

- **Larger frames**: decoding and hashing grow with the pixels. An answer of the demo's classifier with its row takes 12 ms of processor for a colour JPEG of 1280 by 1024, 61 ms for one of 2448 by 2048: add
  6 and 55 ms to each image above. With 10⁸ of the latter, decoding costs more than ResNet-50.
- **The table**: {plain:.0f} GB for 10⁸ rows, maps included, and {paths:.1f} GB for the plan's list. The images themselves: 10 TB at 100 kB each, {images:,.0f} dollars a month; the audit only reads them.
- **Reading**: a core with EfficientNet-Lite0 takes {each:.0f} images a second, so {cores:.0f} cores take {read:.0f} MB/s of images of 100 kB, and ten times as much of images of 1 MB. Past some tens of cores the network or the
  disks decide; then more cores bring nothing.

### What grows how, and where it breaks
| what | measured | at 10⁸ | where it breaks |
|---|---|---|---|
| planning, a list of paths | 13.9 s of processor for 10⁷ | 2 min 20 s, memory flat | a folder read over a network: its listing decides |
| `paths.parquet` as each worker opens it | 10 shards: 16 MB; 10⁴: 20 MB; a shard 4 ms | 10⁵ shards: some 25 MB | 10⁹ images: some 60 MB in each worker |
| worker's memory, without the model | 118 MB at 10⁴ images, 124 MB at 10⁶ | some 200 MB | models: ResNet-50 takes 0.4 GB in each process |
| files of the table | one for 1,000 images | 10⁵ files | where listing and opening files is slow, such as an object store: not measured |
| the report | 10⁶ rows: 12.7 s of processor, 0.8 GB | 20 min, 80 GB: **too much** | from some 10⁷ rows on. An audit for each month (8·10⁶ rows) takes 2 min and 6 GB; over the year DuckDB asks the shards |
| `clusters` | 10⁴ maps: 3 s | 4·10⁶ maps: 4 GB of maps in memory | audits by month, too |

### Stations and viewer
A station with a part each second in two shifts, 250 days a year, makes 14 million frames a year. So 10⁸ are 7 such stations, or 70 with a part every ten seconds.

- **Station**: 120 bytes of index a frame: 1.7 GB a year without `keep_rows`; the pictures of an explained part are 200 to 700 kB, so `[retention]` decides how many are kept. One core bears a part each second with every model of the table;
  to explain every part, too, takes 0.75 s of it with ResNet-50.
- **Viewer**: 350 bytes a frame and 2 to 6 kB an explanation: 10⁸ frames with 4 % explained are about 50 GB a year, and their pictures, without `--max-mb`, some 2 TB. It was measured with 10⁶ frames and 200 stations with an event each second
  ([viewer-speed.md](viewer-speed.md)); 10⁸ a year are 3 events a second on average. Its database with 10⁸ rows has not been measured: keep a quarter (`--keep-days 90`), and leave the year to the audit.
- **Network**: an event is about 1 kB, and 200 kB with a picture: of 10⁸ frames with 4 % explained 0.9 TB a year, 0.2 Mbit/s on average.
"""


def history() -> str:
    """Return the section."""
    rows = []
    for rate in RATES:
        seconds = IMAGES * (rate.row + EXPLAINED * rate.explanation)
        hours = seconds / 3600
        nights = seconds / NIGHT
        rows.append([
            rate.model, f"{1e3 * rate.row:.1f} ms", f"{1e3 * rate.explanation:.0f} ms", f"{hours:,.0f}",
            f"{hours * CORE_HOUR:,.0f} dollars", f"{hours / 16 / 24:.1f} days", f"{nights:.0f} cores",
        ])  # fmt: skip
    head = ["model", "an image", "a map", "core hours", "cost", "one machine, 16 cores", "one night, 8 h"]
    lite = RATES[1].row + EXPLAINED * RATES[1].explanation
    cores = IMAGES * lite / NIGHT
    return TEXT.format(
        explained=f"{EXPLAINED * 100:.0f} %",
        core=CORE_HOUR,
        terabyte=TERABYTE_MONTH,
        table=markdown(head, rows).strip(),
        plain=IMAGES * ((1 - EXPLAINED) * ROW + EXPLAINED * EXPLAINED_ROW) / 1e9,
        paths=IMAGES * PATH / 1e9,
        images=10 * TERABYTE_MONTH,
        each=1 / lite,
        cores=cores,
        read=cores / lite * 0.1,
    )


if __name__ == "__main__":
    print(history())
