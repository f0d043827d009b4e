"""A clock that jumps during a `watch` and between two runs: order, retention, outbox and trust must not change.

python -m benchmarks.soak.clock [ROUNDS]        (half a minute each; writes its section of docs/soak.md)

The clock is changed by libfaketime, Debian's package of that name: seven years back, a year on, an hour either way.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, look, put_image
from benchmarks.table import markdown
from gagrad_edge.cli import run as cli
from gagrad_runtime.station.events import VerdictEvent
from gagrad_runtime.station.outbox import Outbox
from gagrad_runtime.station.store import Store

ROUNDS = 3
JUMPS = ("-7y", "+1y", "-1h", "+1h")
KEEP = 8


def main() -> int:
    """Jump, check the results, and return 1 if a result depended on the clock, 2 without libfaketime."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        print("not run: apt-get install libfaketime", file=sys.stderr)
        return 2
    library = str(found[0])
    rng = np.random.default_rng(0)
    rows, bad = [], 0
    for jump in JUMPS:
        ended = [_round(library, jump, rng, within) for within in (True, False) for _ in range(rounds)]
        totals = {key: sum(one[key] for one in ended) for key in ended[0]}
        bad += sum(value for key, value in totals.items() if key != "lines")
        rows.append((jump, *totals.values()))
        print(jump, totals, flush=True)
    text = f"""`gagrad-edge watch` with a trust policy and an outbox. The clock jumps in the middle of a run or, in as many other runs, between two runs; {rounds} times each. {KEEP} explanations are kept.

{markdown(("jump", "lines printed", "lost or incomplete", "rows out of order", "explanations kept that are not the newest", "events out of order", "row times that did not jump", "starts refused"), rows)}
The clock is changed by libfaketime; the monotonic clock does not jump, as on a real machine. For bundles with an expiry see docs/trust.md, "Clocks"."""
    write_section("A clock that jumps", "python -m benchmarks.soak.clock", text, "onnxruntime")
    return int(bad > 0)


def _round(library: str, jump: str, rng: np.random.Generator, within: bool) -> dict[str, int]:
    """Run a station over a jump of the clock, and count the faults."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle, frames, out = _signed(root), root / "in", root / "out"
        frames.mkdir()
        clock = root / "clock"
        clock.write_text("+0s")
        os.environ |= {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        printed: list[dict[str, Any]] = []
        refused = 0
        try:
            for part in range(2):
                watching = Watching(bundle, frames, out, "--config", str(root / "station.toml"))
                try:
                    for half in range(2):
                        if (within and part == 0 and half == 1) or (not within and part == 1 and half == 0):
                            clock.write_text(jump)
                        already = len(watching.lines)
                        for number in range(6):
                            put_image(frames, f"{part}{half}{number}", rng)
                        watching.wait_for(already + 12)  # a verdict and an explanation each
                except RuntimeError as error:
                    refused += 1
                    print(jump, error, flush=True)
                watching.child.send_signal(signal.SIGTERM)
                watching.end()
                printed += watching.lines
        finally:
            for variable in (
                "LD_PRELOAD",
                "FAKETIME_TIMESTAMP_FILE",
                "FAKETIME_NO_CACHE",
                "DONT_FAKE_MONOTONIC",
            ):
                os.environ.pop(variable)
        return {"lines": len(printed), **_judged(out, printed), "refused": refused}


def _judged(out: Path, printed: list[dict[str, Any]]) -> dict[str, int]:
    lost, half, _ = look(out, printed, sinks=["webhook"])
    with Store(out, sinks=["webhook"]) as store:
        rows = store.rows()
        explained = [row.id for row in store.rows("explained")]
        messages = Outbox(store.index).pending("webhook", 1000)
    names = [row.name for row in rows]
    verdicts = [message.event.file for message in messages if isinstance(message.event, VerdictEvent)]
    times = sorted({row.created[:13] for row in rows})
    newest = sorted((row.id for row in rows if row.state in ("explained", "dropped")), reverse=True)[:KEEP]
    return {
        "lost": lost + half,
        "disorder": int([name[:2] for name in names] != sorted(name[:2] for name in names)),
        "kept": int(sorted(newest) != explained),
        "events": int(verdicts != names),
        "same time": int(len(times) < 2),
    }


def _signed(root: Path) -> Path:
    """Return a signed bundle; the station's policy and configuration are written beside the bundle."""
    bundle = demo_bundle(root)
    key = root / "release"
    commands = [
        ["keygen", str(key)],
        ["sign", str(bundle), "--key", f"{key}.key", "--product", "demo", "--version", "1"],
    ]
    for command in commands:
        if cli(command):
            raise RuntimeError(f"{command[0]} failed")
    from gagrad_edge.trust.keys import read_public_key

    public = read_public_key(key.with_suffix(".pub"))
    (root / "trust.toml").write_text(
        f'state = "state.json"\n[[keys]]\nname = "release"\nkey = "{public.text}"\n'
    )
    (root / "station.toml").write_text(
        # No receiver listens on this port, so the outbox keeps all events.
        f'trust = "trust.toml"\n[retention]\nkeep = {KEEP}\n[webhook]\nurl = "http://127.0.0.1:9/"\n'
    )
    return bundle


if __name__ == "__main__":
    sys.exit(main())
