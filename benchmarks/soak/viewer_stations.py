"""Two hundred stations that send an event a second to one viewer: none is lost, none is doubled.

python -m benchmarks.soak.viewer_stations [SECONDS]    (ten minutes; writes its section of docs/soak.md)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.soak.section import write_section
from benchmarks.viewer import many

SECONDS = 600.0


def main() -> int:
    """Send, compare, and return 1 if anything was lost or doubled."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as name:
        found = many.run(Path(name), seconds)
    text = f"""{many.STATIONS} stations send an event a second each to `gagrad-edge viewer`, for {seconds:.0f} s. Each 50th is sent a second time, as after an answer that got lost.

| | |
|---|---|
| events sent, each once / stored | {found.sent} / {found.stored} |
| of them sent twice | {found.repeated} |
| frames of these / stored, each once | {found.expected_frames} / {found.frames} |
| answer to a station, p95 / longest | {1000 * found.p95:.0f} / {1000 * found.worst:.0f} ms |
| memory of the viewer afterwards | {found.megabytes:.0f} MB |

The machine was busy with other work, so the times are no measure; [viewer-speed.md](viewer-speed.md) has those of a quiet one."""
    write_section(
        "Two hundred stations at one viewer", "python -m benchmarks.soak.viewer_stations", text, "granian"
    )
    return 1 if found.sent != found.stored or found.frames != found.expected_frames else 0


if __name__ == "__main__":
    sys.exit(main())
