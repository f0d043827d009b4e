"""The other end of a sink: a webhook's receiver, and what the tests of sinks wait with."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from gagrad_runtime.station.events import VerdictEvent

if TYPE_CHECKING:
    from gagrad_runtime.station.store import Store

PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
"""Where a Mosquitto may be: Debian's is no command for users."""


class Receiver:
    """A webhook's other end; ``answers`` are the codes that it gives first."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = receiver.answers.pop(0) if receiver.answers else 204
                if code < 300:
                    receiver.got.append((json.loads(body), dict(self.headers)))
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?line=4"


def until(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def verdict(file: str) -> VerdictEvent:
    """Return the event of a verdict on the frame ``file``."""
    return VerdictEvent(time="", file=file, verdict="ok", probability=0.5, explain=False, seconds=0.25)


def add(store: Store, count: int) -> None:
    """Store verdicts on ``count`` frames, named by their number."""
    for number in range(count):
        store.add(str(number), str(number), "", state="verdict", event=verdict(str(number)))
