"""What the viewer takes; see the bars in docs/viewer-speed.md.

python -m benchmarks.viewer                    (half an hour on a quiet machine; writes docs/viewer-speed.md)
python -m benchmarks.viewer --rows 100000 --seconds 30 --print   (quick, and only printed)

A database of a million rows is kept in .viewer/ for the next run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.table import machine, markdown, publish
from benchmarks.viewer import beside, many, rows, stream

KEPT = Path(__file__).parent.parent.parent / ".viewer"
TEXT = """# What the viewer takes

The viewer is one process; each line is measured over HTTP on the loopback address. Bars: any page ≤ 100 ms (p95) at 10⁶ rows, an event at the
browser in ≤ 150 ms (p95), memory (PSS) ≤ 90 MB, 200 stations with an event a second: none lost, none doubled.

Reproduce: `python -m benchmarks.viewer`. {machine}

## Pages at {rows} rows
{stations} stations, a month of frames, a tenth NG and explained; {repeats} times each. `/` is asked once before.

{pages}

Memory afterwards: {page_memory:.0f} MB.

## Events
{events}

## A station beside it
The demo's classifier, 200 images of 160 × 120, ten a second, from the file to its printed verdict; station, viewer and browsers on two cores, in turn. The bar is
+5 % for p99. Ratios are taken within a round, with the smallest and the largest.

{beside}
"""


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="of the two hundred stations")
    parser.add_argument("--print", action="store_true", help="print instead of publishing")
    parser.add_argument("--only", choices=["pages", "events"])
    options = parser.parse_args()
    folder = KEPT / str(options.rows)
    pages, page_memory, lines, station = "", 0.0, [], ""
    if options.only != "events":
        if not (folder / "done").exists():
            seconds = rows.build(folder, options.rows)
            (folder / "done").write_text(f"{seconds:.0f} s\n")
        pages, page_memory = rows.table(folder)
    if options.only != "pages":
        lines, station = _events(options.seconds), beside.table()
    text = TEXT.format(
        machine=machine("litestar", "granian"), rows=f"{options.rows:,}", stations=rows.STATIONS,
        repeats=rows.REPEATS, pages=pages, page_memory=page_memory, events=markdown(["what", "measured"], lines), beside=station,
    )  # fmt: skip
    if options.print or options.only:
        sys.stdout.write(text)
    else:
        publish("viewer-speed", text)


def _events(seconds: float) -> list[list[object]]:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        median, p95, megabytes = stream.latency(Path(one))
        found = many.run(Path(two), seconds)
    return [
        [f"event → {stream.BROWSERS} browsers, median / p95", f"{median:.0f} / {p95:.0f} ms"],
        ["memory of the viewer with them", f"{megabytes:.0f} MB"],
        [
            f"{many.STATIONS} stations × 1 event/s for {seconds:.0f} s: events sent / stored",
            f"{found.sent} / {found.stored}",
        ],
        ["frames of these / stored, each once", f"{found.expected_frames} / {found.frames}"],
        ["of them sent twice", found.repeated],
        ["answer to a station, p95 / worst", f"{1000 * found.p95:.0f} / {1000 * found.worst:.0f} ms"],
        ["memory of the viewer with them", f"{found.megabytes:.0f} MB"],
    ]


if __name__ == "__main__":
    main()
