"""The service: its cost over the Python call, and budgets and refusals at three times its capacity.

python -m benchmarks.service        (about two minutes; writes docs/service-speed.md)
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gagrad_runtime
from benchmarks.table import machine, markdown, publish
from benchmarks.timing import seconds
from gagrad_edge.cli import run
from gagrad_runtime.jobs.demonstrating import DEMOS, INPUT
from gagrad_runtime.service.protocol import HEADER_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = Path(__file__).parent.parent / "gagrad_edge" / "demo"
ROUNDS = 60
"""Pairs of a Python call and a request."""
LOADED = 30.0
"""Seconds of overload."""
OVERLOAD = 3.0
"""Arrivals over capacity."""
BUDGET = 4.0
"""Budget over the time of one request."""
CONNECTIONS = 48
INTRODUCTION = """# What the service costs, and overload

The demo's classifier at 224², one thread of ONNX Runtime, requests in binary form over a connection that stays open, client and
server on one machine. {machine}
Reproduce: `python -m benchmarks.service`. [service.md](service.md) describes the service.

## Over the Python call
The same frame, `pixels` UINT8 `[224, 224, 3]`, explained by `Explainer.explain` in one process and by the service in another, in turn, {rounds} times. `over` is
the median of the differences; the bar is 5 ms. Both make the same record and the same picture, a PNG. Of the frame's noise little can be packed.

"""
LOAD = """
## Three times its capacity
`classifier.explain` with a budget of {budget:.0f} ms, {overload:.0f} × as many requests as it can do ({capacity:.1f} a second), for {loaded:.0f} s, evenly spaced. The bars are 99 % of
the accepted within the budget, and 5 ms for a refusal.

"""


@dataclass(frozen=True)
class Asked:
    """One request of the overload."""

    status: int
    seconds: float


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = _bundle(Path(folder))
        frame = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
        with _server(bundle) as port, gagrad_runtime.load(bundle, device="cpu", threads=1) as explainer:
            calls: dict[str, tuple[str, Callable[[], object]]] = {
                "predict": ("predict", lambda: explainer.predict(frame)),
                "the map": ("explain", lambda: explainer.explain(frame, rcap=False, cover=False)),
                "record and picture": ("explain", lambda: _reported(explainer, frame)),
            }
            rows = []
            for name, (verb, call) in calls.items():
                outputs = ("saliency", "record", "picture") if name.startswith("record") else ()
                rows.append((name, *_compared(port, verb, _body(frame, outputs), call)))
            text = INTRODUCTION.format(machine=machine("onnxruntime", "litestar", "granian"), rounds=ROUNDS)
            text += markdown(("request", "Python call, ms", "service, ms", "over, ms"), rows)
            text += _loaded(port, frame)
    publish("service-speed", text)


def _loaded(port: int, frame: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    """Return the section of the overload."""
    plain = _body(frame, ())
    connection = http.client.HTTPConnection("127.0.0.1", port)
    one = statistics.median(seconds(lambda: _ask(connection, "explain", plain)) for _ in range(20))
    connection.close()
    budget = 1000 * BUDGET * one
    asked = asyncio.run(_overload(port, _body(frame, (), budget_ms=budget), one / OVERLOAD))
    accepted = [each.seconds for each in asked if each.status == 200]
    refused = [each.seconds for each in asked if each.status == 503]
    counts = Counter(each.status for each in asked)
    kept = sum(1000 * took <= budget for took in accepted) / max(len(accepted), 1)
    soon = sum(took <= 0.005 for took in refused) / max(len(refused), 1)
    rows = [
        ("accepted", len(accepted), f"{100 * kept:.1f} % within {budget:.0f} ms", *_quantiles(accepted)),
        ("refused (503)", len(refused), f"{100 * soon:.1f} % within 5 ms", *_quantiles(refused)),
    ]
    others = {status: count for status, count in counts.items() if status not in (200, 503)}
    text = LOAD.format(budget=budget, overload=OVERLOAD, capacity=1 / one, loaded=LOADED)
    text += markdown(("", "requests", "kept", "p50, ms", "p99, ms", "longest, ms"), rows)
    return text + (f"\nOther answers: {others}.\n" if others else "\nNo other answers.\n")


async def _overload(port: int, body: tuple[bytes, dict[str, str]], period: float) -> list[Asked]:
    """Return what became of requests that were sent each ``period`` seconds, whatever became of others."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    content, headers = body
    head = f"POST /v2/models/classifier.explain/infer HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(content)}\r\n"
    request = (
        (head + "".join(f"{name}: {value}\r\n" for name, value in headers.items())).encode()
        + b"\r\n"
        + content
    )
    asked: list[Asked] = []

    async def ask() -> None:
        reader, writer = await free.get()
        began = time.perf_counter()
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in answer.decode("latin-1").lower().split("\r\n")[1:-2])
        await reader.readexactly(int(fields["content-length"]))
        asked.append(Asked(int(answer[9:12]), time.perf_counter() - began))
        free.put_nowait((reader, writer))

    tasks, began = [], time.perf_counter()
    for number in range(int(LOADED / period)):
        await asyncio.sleep(max(0.0, began + number * period - time.perf_counter()))
        tasks.append(asyncio.create_task(ask()))
    await asyncio.gather(*tasks)
    return asked


def _compared(
    port: int, verb: str, body: tuple[bytes, dict[str, str]], call: Callable[[], object]
) -> tuple[str, str, str]:
    """Return the medians of the Python call, of the service, and of their differences."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    pairs = [(seconds(call), seconds(lambda: _ask(connection, verb, body))) for _ in range(ROUNDS + 5)][5:]
    connection.close()
    own, served = zip(*pairs, strict=True)
    over = statistics.median(theirs - ours for ours, theirs in pairs)
    return tuple(f"{1000 * value:.1f}" for value in (statistics.median(own), statistics.median(served), over))  # type: ignore[return-value]


def _ask(connection: http.client.HTTPConnection, verb: str, body: tuple[bytes, dict[str, str]]) -> bytes:
    connection.request("POST", f"/v2/models/classifier.{verb}/infer", *body)
    answer = connection.getresponse()
    found = answer.read()
    if answer.status != 200:
        raise SystemExit(f"the service says {answer.status}: {found!r}")
    return found


def _body(
    frame: np.ndarray[Any, np.dtype[np.uint8]], outputs: tuple[str, ...], **parameters: float
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a request in binary form."""
    message = {
        "inputs": [
            {
                "name": "pixels",
                "shape": list(frame.shape),
                "datatype": "UINT8",
                "parameters": {"binary_data_size": frame.nbytes},
            }
        ],
        "outputs": [{"name": name} for name in outputs],
        "parameters": {"binary_data_output": True, **parameters},
    }
    text = json.dumps(message).encode()
    return text + frame.tobytes(), {HEADER_LENGTH: str(len(text))}


def _reported(explainer: Any, frame: Any) -> object:
    explanation = explainer.explain(frame)
    return json.dumps(explanation.record()), gagrad_runtime.Report(explanation).png()


def _quantiles(values: list[float]) -> tuple[str, ...]:
    """Return p50, p99 and the longest in milliseconds."""
    if not values:
        return ("–",) * 3
    return tuple(f"{1000 * value:.1f}" for value in (*np.quantile(values, (0.5, 0.99)), max(values)))


def _bundle(folder: Path) -> Path:
    demo = next(one for one in DEMOS if one.name == "classifier")
    bundle = folder / "classifier.gagrad"
    classes = [] if demo.classes is None else ["--classes", str(DATA / demo.classes)]
    if run(["export", str(DATA / demo.model), "-o", str(bundle), *INPUT, *classes, *demo.options]):
        raise SystemExit("the demo's classifier cannot be exported")
    return bundle


@contextlib.contextmanager
def _server(bundle: Path) -> Iterator[int]:
    """Run the command in a process of its own and return its port."""
    code = "import sys; from gagrad_edge.cli import run; sys.exit(run(sys.argv[1:]))"
    options = ["serve", str(bundle), "--port", "0", "--device", "cpu", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *options], stderr=subprocess.PIPE, text=True
    ) as process:
        line = "" if process.stderr is None else process.stderr.readline()
        try:
            yield int(line.split("/v2")[0].rpartition(":")[2])
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
