"""Events as a station sends them, and a viewer that takes them without a server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
from PIL import Image

from gagrad_runtime.viewer.app import PUBLIC, application
from gagrad_runtime.viewer.viewer import Viewer, opened
from gagrad_runtime.web.guard import Rules

EPOCH = "0" * 32
ADDRESS = "http://127.0.0.1:8080"
T = TypeVar("T")


def verdict(sequence: int, **more: Any) -> dict[str, Any]:
    """Return the event of a verdict, on the frame with the number of the sequence."""
    return {
        "event": "verdict", "station": "line-1", "epoch": EPOCH, "sequence": sequence,
        "time": "2026-11-27T10:00:00Z", "id": sequence, "file": f"part-{sequence}.png", "verdict": "scratch",
        "probability": 0.9, "explain": True, "seconds": 0.01, "outcome": "NG", **more,
    }  # fmt: skip


def explained(sequence: int, number: int, **more: Any) -> dict[str, Any]:
    """Return the event of the explanation of frame ``number``."""
    return {
        "event": "explained", "station": "line-1", "epoch": EPOCH, "sequence": sequence,
        "time": "2026-11-27T10:00:01Z", "id": number, "file": f"part-{number}.png", "record": "r.json",
        "picture": "p.png", "rcap": None, "samples": 5, "seconds": 0.3, "verdict": "scratch",
        "probability": 0.9, "target": "scratch", "cautions": ["peaks-disagree"],
        "places": [{"box": [10, 20, 60, 50], "area": 900, "share": 0.5, "peak": [30.5, 31.5],
                    "covering": 0.1}],
        "covering": {"fill": "surroundings", "before": 0.9, "places": [0.1], "changed": [True],
                     "controls": [0.9], "controls_changed": [False]},
        "place_stability": 0.8, "height": 224, "width": 224, "strength": "strong", **more,
    }  # fmt: skip


def pictured() -> dict[str, Any]:
    """Return the fields of an explanation with pictures and record."""

    def encoded(form: str) -> str:
        stream = io.BytesIO()
        Image.linear_gradient("L").resize((32, 24)).save(stream, form)
        return base64.b64encode(stream.getvalue()).decode()

    record = {"rcap": {"score": 0.4, "levels": [0.9, 0.5], "ratio": [0.5, None], "confidence": [0.8, 0.9]}}
    return {"picture_png": encoded("PNG"), "frame_jpeg": encoded("JPEG"), "map_png": encoded("PNG"),
            "record_json": {**record, "top": [{"name": "scratch", "probability": 0.9}]}}  # fmt: skip


@contextlib.contextmanager
def viewing(folder: Path, rules: Rules | None = None, **more: Any) -> Iterator[Viewer]:
    """Open a viewer whose data are in ``folder``, without a server."""
    with opened(folder, rules=rules or Rules("127.0.0.1", public=PUBLIC), **more) as viewer:
        yield viewer


def asked(viewer: Viewer, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """Return what ``work`` returns with a client of the viewer."""

    async def run() -> T:
        if "app" not in vars(viewer):  # made once: that takes longer than an answer
            vars(viewer)["app"] = application(viewer)
        transport = httpx.ASGITransport(app=vars(viewer)["app"])
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, timeout=60) as client:
            return await work(client)

    return asyncio.run(run())


def sent(viewer: Viewer, *events: dict[str, Any], **headers: str) -> list[int]:
    """Send ``events`` one after the other; return the statuses."""

    async def work(client: httpx.AsyncClient) -> list[int]:
        return [(await client.post("/events", json=event, headers=headers)).status_code for event in events]

    return asked(viewer, work)


def got(viewer: Viewer, path: str, **headers: str) -> httpx.Response:
    """Return the answer to a GET."""
    return asked(viewer, lambda client: client.get(path, headers=headers))


def value(viewer: Viewer, query: str) -> Any:
    """Return the only value of a query to the database."""
    return viewer.database.reader().execute(query).fetchone()[0]
