"""``gagrad-edge bench``: figures that belong together."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from gagrad_edge.cli import run


@pytest.mark.slow
def test_a_report_for_programs_and_one_for_people(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """bench prints JSON whose figures agree with each other, and a text for people."""
    ticks = itertools.count()
    # A clock that goes on by a millisecond each time it is read: a busy machine changes nothing.
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 1000)
    assert run(["bench", str(tiny_bundle), "--frames", "5", "--samples", "6", "--chunk", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["samples"], report["chunk"], report["frames"]) == (6, 3, 5)
    names = [one["name"] for one in report["timings"]]
    assert names == ["predict", "predict, 3 at once", "explain", "samples, within explain"]
    for one in report["timings"]:
        assert 0 < one["p50"] <= one["p95"] <= one["p99"]
    by_name = {one["name"]: one for one in report["timings"]}
    assert report["ratio"] == pytest.approx(by_name["explain"]["p50"] / by_name["predict"]["p50"], rel=0.02)
    assert sum(report["stages_ms"].values()) <= by_name["explain"]["p50"]
    assert "explain is" in err


def test_what_explain_refuses_bench_refuses(tiny_bundle: Path) -> None:
    """An unknown method and a number of frames of 0 exit with 2."""
    assert run(["bench", str(tiny_bundle), "--method", "grad"]) == 2
    assert run(["bench", str(tiny_bundle), "--frames", "0"]) == 2
