"""A viewer with parts in it, asked without a network: what the tests of the pages look at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np

from gagrad_runtime.viewer.app import application
from gagrad_runtime.viewer.likeness import looks_of
from gagrad_runtime.viewer.pictures import decode
from gagrad_runtime.viewer.received import read
from gagrad_runtime.viewer.storing import Arrived, store
from gagrad_runtime.viewer.viewer import Viewer, opened
from gagrad_runtime.web.guard import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EPOCH = "9f" * 16
PAGES = ("/", "/?show=ng", "/history", "/gallery", "/queue", "/fleet", "/guide", "/frame/1", "/login")
"""One address of every page; ``/frame/1`` is there in a site with parts."""


class Site:
    """A viewer's pages."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._guard = application(viewer)
        self._loop = asyncio.new_event_loop()
        self._sequence: dict[str, int] = {}

    def ask(self, method: str, address: str, **given: Any) -> httpx.Response:
        """Return the answer to one request; redirects are not followed."""
        headers = {"accept": "text/html", **given.pop("headers", {})}

        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(self._guard, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await client.request(method, address, headers=headers, **given)

        return self._loop.run_until_complete(asking())

    def get(self, address: str, language: str = "en", **headers: str) -> httpx.Response:
        """Return a page in ``language``."""
        return self.ask("GET", address, headers={"accept-language": language, **headers})

    def tell(self, kind: str, *, station: str = "line-4", **fields: Any) -> None:
        """Store one event, as the receiver does."""
        sequence = self._sequence.get(station, 0)
        self._sequence[station] = sequence + 1
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(fields.pop("when", now)))
        event = {
            "event": kind,
            "station": station,
            "epoch": EPOCH,
            "sequence": sequence,
            "time": moment,
            **fields,
        }
        received, when = read(json.dumps(event).encode())
        pictures = decode(received)
        looks = looks_of(pictures["frame"]) if "frame" in pictures else None
        arrived = Arrived(when, now, 0.2, pictures, looks)
        folder = self.viewer.database.folder
        self.viewer.database.write(lambda one: store(one, folder, received, arrived)).result()

    def close(self) -> None:
        """End the loop."""
        self._loop.close()


@contextlib.contextmanager
def site(folder: Path, rules: Rules | None = None) -> Iterator[Site]:
    """Open a viewer with its data in ``folder``."""
    with (
        opened(folder, rules=rules or Rules("127.0.0.1")) as viewer,
        contextlib.closing(Site(viewer)) as made,
    ):
        yield made


def part(
    site: Site,
    number: int,
    *,
    name: str = "part.png",
    verdict: str = "scratch",
    cautions: tuple[str, ...] = (),
    explained: bool = True,
    ng: bool = True,
    **fields: Any,
) -> None:
    """Tell of one part, as a station does: its verdict, and what explains it."""
    common = {"id": number, "file": name, "verdict": verdict, "probability": 0.97, **fields}
    site.tell("verdict", explain=ng, ng=ng, outcome="NG" if ng else "OK", reason=verdict, **common)
    if not explained:
        return
    site.tell(
        "explained",
        **common,
        target=verdict,
        cautions=list(cautions),
        places=[{"box": [20, 30, 44, 50], "area": 480, "share": 0.4, "peak": [32.0, 40.0]}],
        covering={
            "fill": "surroundings",
            "before": 0.97,
            "places": [0.1],
            "changed": [True],
            "controls": [0.96],
            "controls_changed": [False],
        },
        strength="strong",
        place_stability=1.0,
        height=96,
        width=128,
        samples=5,
        rcap=0.6,
        record="00000001.json",
        frame_jpeg=_picture(".jpg", 3),
        map_png=_picture(".png", 4),
        record_json={"rcap": {"levels": [0.9, 0.5], "ratio": [0.5, 0.9], "confidence": [0.4, 0.9]}},
    )


def _picture(kind: str, channels: int) -> str:
    import base64

    pixels = np.full((96, 128, channels), 90, np.uint8)
    pixels[30:50, 20:44] = 220
    return base64.b64encode(cv2.imencode(kind, pixels)[1].tobytes()).decode()
