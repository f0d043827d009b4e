"""Frames that end the station, that take all memory, or that are slow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gagrad_edge.errors import OutOfMemoryError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.decoder import SlowError
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.station.rule import Rule
from gagrad_runtime.station.sources.folder import FileArrival
from gagrad_runtime.station.store import Store
from gagrad_runtime.station.waiting import Pending, Waiting
from tests.runtime.station.images import put

ALL = Rule(every=1)
NOTHING = Rule(good=("scratch", "dent", "ok"))

_DEADLY = """
import os, sys
from gagrad_runtime.session.explainer import Explainer
real = Explainer.{method}
def deadly(self, frame, *more, **options):
    if frame.name == "b.png":
        os._exit(9)
    return real(self, frame, *more, **options)
Explainer.{method} = deadly
from gagrad_edge.cli import run
sys.exit(run(sys.argv[1:]))
"""


def start(bundle: Path, tmp_path: Path, method: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a station that frame ``b.png`` ends; return its exit code and its events."""
    command = [
        sys.executable,
        "-c",
        _DEADLY.format(method=method),
        "watch",
        str(bundle),
        str(tmp_path / "in"),
    ]
    command += ["-o", str(tmp_path / "out"), "--samples", "4", "--json", "--threads", "1", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_frame_that_ends_the_station_is_tried_twice_the_second_time_last(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    """And then quarantined; all others have their verdicts at the second start."""
    for seed, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        put(tmp_path / "in", name, seed)
    assert start(tiny_bundle, tmp_path, "judge")[0] == 9
    code, events = start(tiny_bundle, tmp_path, "judge")
    assert code == 9
    assert [event["file"] for event in events if event["event"] == "verdict"] == ["c.png", "d.png"]
    code, events = start(tiny_bundle, tmp_path, "judge")
    assert code == 0
    (told,) = [event for event in events if event["event"] == "quarantined"]
    assert told["file"] == "b.png"
    assert "ended 2 times" in told["reason"]
    assert (tmp_path / "out" / "quarantine" / "b.png").exists()


@pytest.mark.slow
def test_an_explanation_that_ends_the_station_twice_is_given_up(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its row says so, and the others are explained."""
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        put(tmp_path / "in", name, seed)
    assert [start(tiny_bundle, tmp_path, "refine")[0] for _ in range(3)] == [9, 9, 0]
    with Store(tmp_path / "out") as store:
        assert store.counts() == {"explained": 2, "failed": 1}
        assert "ended 2 times" in store.rows("failed")[0].reason


@pytest.mark.slow
def test_a_frame_that_a_power_cut_met_gets_its_verdict(station: Any, tmp_path: Path) -> None:
    """One attempt without a result says nothing against it; no mark is left."""
    put(tmp_path / "in", "a.png")
    one = station(NOTHING)
    sha256 = FileArrival(tmp_path / "in" / "a.png", "a.png").sha256()
    one.store.begin("a.png", sha256)
    one.run(once=True)
    assert one.store.counts() == {"verdict": 1}
    assert one.store.earlier("a.png", sha256) == 0


@pytest.mark.slow
@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError("no memory for a run")])
def test_a_frame_that_takes_all_memory_is_quarantined_and_the_station_goes_on(
    error: Exception, station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Python or an engine says so."""
    real = Explainer.judge

    def judge(self: Explainer, frame: Any) -> Any:
        if frame.name == "a.png":
            raise error
        return real(self, frame)

    monkeypatch.setattr(Explainer, "judge", judge)
    put(tmp_path / "in", "a.png")
    put(tmp_path / "in", "b.png", 1)
    one = station(NOTHING)
    one.run(once=True)
    assert one.store.counts() == {"quarantined": 1, "verdict": 1}
    assert "not enough memory" in one.store.rows("quarantined")[0].reason


@pytest.mark.slow
def test_an_explanation_that_takes_all_memory_fails_and_the_station_goes_on(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is made."""
    real = Explainer.refine

    def refine(self: Explainer, frame: Any, **options: Any) -> Any:
        if frame.name == "a.png":
            raise OutOfMemoryError("no memory for a run")
        return real(self, frame, **options)

    monkeypatch.setattr(Explainer, "refine", refine)
    put(tmp_path / "in", "a.png")
    put(tmp_path / "in", "b.png", 1)
    one = station(ALL)
    one.run(once=True)
    assert one.store.counts() == {"failed": 1, "explained": 1}


@pytest.mark.slow
def test_a_slow_frame_comes_behind_the_others(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gets its verdict when no other is there."""

    class Slow:
        patience: float | None = None

        def load(self, path: str, _: str) -> Any:
            if path.endswith("a.png") and self.patience is not None:
                raise SlowError("it is not decoded yet")
            return load_frame(path)

    put(tmp_path / "in", "a.png")
    put(tmp_path / "in", "b.png", 1)
    slow: Any = Slow()
    one = station(NOTHING, decoder=slow)
    one.source._decoder = slow
    one.run(once=True)
    assert [event.file for event in station.events] == ["b.png", "a.png"]
    assert one.store.counts() == {"verdict": 2}


def _pending(number: int, side: int = 10) -> Pending:
    frame = load_frame(np.zeros((side, side), np.uint8))
    return Pending(number, f"{number}.png", "", frame)


def test_the_queue_holds_so_many_bytes() -> None:
    """Frames beyond wait without their pixels, and what is taken makes room."""
    waiting = Waiting(5, size=250)
    for number in range(4):
        assert waiting.put(_pending(number)) is None
    assert [waiting.take().frame is not None for _ in range(3)] == [True, True, False]
    waiting.put(_pending(4))
    waiting.put(_pending(5, side=30))
    assert [waiting.take().frame is not None for _ in range(3)] == [False, True, False]


def test_the_queue_gives_its_oldest_back_when_there_are_too_many() -> None:
    """It is the one that is dropped."""
    waiting = Waiting(2)
    dropped = [waiting.put(_pending(number)) for number in range(3)]
    assert [None if one is None else one.number for one in dropped] == [None, None, 0]
    assert len(waiting) == 2


@pytest.mark.slow
def test_frames_that_wait_without_their_pixels_are_read_again(station: Any, tmp_path: Path) -> None:
    """All are explained, as long as their files are there."""
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        put(tmp_path / "in", name, seed)
    one = station(ALL)
    one._waiting = Waiting(20, size=0)
    one.run(once=True)
    assert one.store.counts() == {"explained": 3}


@pytest.mark.slow
def test_the_child_is_gone_when_the_station_ends(tiny_bundle: Path, tmp_path: Path) -> None:
    """At SIGTERM, with exit code 0."""
    import os
    import signal
    import time

    put(tmp_path / "in", "a.png")
    command = [sys.executable, "-c", "from gagrad_edge.cli import main; main()", "watch", str(tiny_bundle)]
    command += [
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--samples",
        "4",
        "--json",
        "--threads",
        "1",
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    tasks = Path(f"/proc/{child.pid}/task")
    ours = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    assert ours
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    time.sleep(0.1)
    for pid in ours:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
