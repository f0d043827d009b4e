"""A viewer with parts of three stations: ``python -m tests.browser.plant FOLDER`` serves it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gagrad_runtime.viewer.app import application
from gagrad_runtime.viewer.viewer import opened
from gagrad_runtime.web.guard import Rules
from gagrad_runtime.web.server import Stopping, serve
from tests.runtime.viewer.pages.site import Site, part

CAUTIONS: tuple[tuple[str, ...], ...] = ((), ("dark-image",), ("unsure",), (), ("peaks-disagree", "late"))


def fill(site: Site) -> None:
    """Tell of the parts of three hours."""
    now = int(time.time())
    for number in range(1, 31):
        station = ("line-4", "line-5", "press-2")[number % 3]
        ng = number % 4 != 0
        part(
            site,
            number,
            station=station,
            name=f"{number:04d}-キズ.png" if number % 5 == 0 else f"{number:04d}-part.png",
            verdict=("scratch", "dent", "キズ")[number % 3] if ng else "ok",
            cautions=CAUTIONS[number % 5] if ng else (),
            explained=ng,
            ng=ng,
            when=now - (31 - number) * 300,
        )
    site.tell("source", station="line-5", state="lost", source="rtsp://10.0.0.7/cam", reason="no answer")
    fine = {"name": "webhook", "waiting": 0, "dropped": 0, "refused": 0}
    ill = {"name": "mqtt", "waiting": 1234, "dropped": 0, "refused": 0, "error": "no route to the broker"}
    ill["since"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 7200))
    for station, disk, receivers in (("line-4", 0.41, [fine]), ("press-2", 0.97, [fine, ill])):
        site.tell("health", station=station, disk=disk, receivers=receivers, degraded=False, waiting=0)


def _ready(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def main() -> None:
    """Fill the viewer, and serve it until SIGTERM."""
    rules, stopping = Rules("127.0.0.1"), Stopping()
    with opened(Path(sys.argv[1]), rules=rules) as viewer:
        fill(Site(viewer))
        stopping.call(viewer.changes.end)
        serve(application(viewer), "127.0.0.1", 0, stopping=stopping, ready=_ready)


if __name__ == "__main__":
    main()
