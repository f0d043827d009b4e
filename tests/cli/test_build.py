"""``build``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gagrad_edge.cli import run
from gagrad_runtime.session import canary

Capture = pytest.CaptureFixture[str]


@pytest.mark.slow
def test_every_graph_is_compiled_and_checked(tiny_bundle: Path, capsys: Capture) -> None:
    """build compiles every graph, checks the maps, and reports both."""
    assert run(["build", str(tiny_bundle), "--device", "openvino", "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert {row["graph"] for row in report["graphs"]} >= {
        "predict features",
        "accumulate",
        "finalize pooled",
    }
    assert report["passed"]
    assert all(finding["found"] <= finding["allowed"] for finding in report["findings"])
    assert "checked on the bundle's frame" in captured.err


@pytest.mark.slow
def test_an_engine_that_computes_something_else(
    tiny_bundle: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be better than perfect: each check fails when nothing is allowed."""
    monkeypatch.setattr(canary, "CORRELATION", {"float32": 1.5})
    assert run(["build", str(tiny_bundle), "--device", "openvino"]) == 4
    assert "rank order differs" in capsys.readouterr().err


def test_a_device_that_is_not_there(tiny_bundle: Path, capsys: Capture) -> None:
    """A device whose package is missing exits with 5 and the line that installs it."""
    assert run(["build", str(tiny_bundle), "--device", "tensorrt"]) == 5
    assert "pip install" in capsys.readouterr().err
