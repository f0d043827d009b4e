"""The run on a GPU, rehearsed on stand-ins: each failure is named and none stops the run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu import bring, libraries, sanitising
from benchmarks.gpu.machine import REAL, STAND_INS, Machine
from benchmarks.gpu.process import Outcome, Running
from benchmarks.gpu.report import HOW, NOTHING, Report, page
from benchmarks.gpu_check import Run

ROOT = Path(__file__).parent.parent.parent


def rehearse(out: Path, *options: str) -> tuple[int, dict[str, object], str]:
    """Return exit code, figures and page of a rehearsal in short."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--rehearse", "--out", str(out), *options]
    command += ["--samples", "4", "--rounds", "2"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (out / "gpu.json").exists(), run.stderr
    return run.returncode, json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()


@pytest.mark.long
def test_a_rehearsal_in_short_runs_the_jobs_and_names_a_crash(tmp_path: Path) -> None:
    """A device is measured; one that is not there is skipped; one that crashes has failed."""
    options = ("--no-peers", "--networks", "small", "--devices", "absent,cuda:fp16,crashes")
    code, figures, text = rehearse(tmp_path, *options)
    assert code == 1
    assert figures["failed"] == ["small on crashes: it ended by SIGABRT"]
    row = figures["explained"]["small"]["cuda:fp16"]  # type: ignore[index]
    assert row["precision"] == "float16"
    assert row["canary"] < 1
    assert figures["graphs"]["small"]["copies"] == {"float32": 0, "float16": 0}  # type: ignore[index]
    assert any(line.startswith("--device absent: ") for line in figures["skipped"])  # type: ignore[attr-defined]
    assert any("no such option" in line for line in figures["skipped"])  # type: ignore[attr-defined]
    assert "| small | cuda:fp16 | float16 |" in text
    assert "no figure here means anything" in text
    assert (tmp_path / "gpu.log").read_text().count("$ ") == 8


@pytest.mark.long
def test_a_whole_rehearsal_takes_every_branch(tmp_path: Path) -> None:
    """Wrong rows, a hang, a crash and a refused export are each in the report, beside what passed."""
    code, figures, text = rehearse(tmp_path, "--limit", "20")
    failed = figures["failed"]
    assert code == 1
    assert isinstance(failed, list)
    for told in ("export of refused: ", "small on wrong: scores of rows", "small on hangs: it was ended"):
        assert any(line.startswith(told) for line in failed), failed
    times = figures["pytorch"]["small"]["times"]  # type: ignore[index]
    assert set(times) == {"authors", "batched", "compiled", "compiled16", "floor32", "floor16"}
    assert figures["passed"] == ["env found nothing in an explanation of small on cuda"]
    assert "## `accumulate` alone" in text


def test_a_job_is_ended_with_its_children_at_its_limit(tmp_path: Path) -> None:
    """At its limit a job ends, and so does a process that the job started."""
    child = tmp_path / "child"
    outcome = Running(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], 1.0, tmp_path / "log").wait()
    assert outcome.problem == "it was ended after 1 s"
    for _ in range(50):
        if not _runs(int(child.read_text())):
            break
        time.sleep(0.1)
    assert not _runs(int(child.read_text()))


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_jobs_after_the_budget_are_listed_as_skipped(tmp_path: Path) -> None:
    """Where the time is up no job begins, and the report says which ones did not."""
    given = Namespace(
        began=time.time() - 100, budget=60, samples=4, rounds=2, limit=None, out=tmp_path, no_peers=False
    )
    run = Run(given, replace(STAND_INS, devices=("cuda",)), tmp_path, tmp_path)
    run.all()
    run.write()
    assert run.report.skipped == ["open cuda: the time was up"]
    assert "- open cuda: the time was up" in (tmp_path / "gpu.md").read_text()


def test_a_copy_in_a_run_is_a_failure() -> None:
    """A graph that copies tensors between host and device in each run has failed."""
    report = Report(REAL, 20, 20)
    answer = {"milliseconds": {}, "copies": {"float32": 2, "float16": 0}, "skipped": []}
    report.add_graph("resnet50", Outcome(1.0, answer))
    (line,) = report.failed
    assert line == "accumulate of resnet50 in float32 copies 2 tensors between host and device in a run"


class _Sanitizer(Machine):
    """A machine whose sanitizer is a script of the test."""

    def sanitizer_path(self) -> str | None:
        """Return the script."""
        return os.environ["SANITIZER"] or None


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        ("echo ===== Invalid read; exit 9", "failed", "Invalid read"),
        ("echo device not supported >&2; exit 1", "skipped", "device not supported"),
        ("exit 0", "clean", "found nothing"),
        ("", "skipped", "not on the path"),
    ],
)
def test_what_the_sanitizer_says(
    script: str, kind: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it finds has failed; where it cannot run the check is skipped with its own reason."""
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("SANITIZER", str(tool) if script else "")
    machine = _Sanitizer(**{name: getattr(REAL, name) for name in REAL.__dataclass_fields__})
    answer = sanitising.run(machine, tmp_path, "small", "cuda")
    assert told in str(answer[kind])


def test_pieces_join_to_the_wheels_that_were_cut(tmp_path: Path) -> None:
    """Each piece is at most the size asked for and has its sum; together they are the tar of the wheels."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "a-1-py3-none-any.whl").write_bytes(os.urandom(5000))
    (wheels / "b-1-py3-none-any.whl").write_bytes(os.urandom(3000))
    pieces = tmp_path / "pieces"
    names = bring.cut(wheels, pieces, 4096)
    assert names[-1] == "SHA256SUMS"
    for line in (pieces / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert (pieces / name).stat().st_size <= 4096
        assert hashlib.sha256((pieces / name).read_bytes()).hexdigest() == digest
    joined = f"cat {pieces}/wheels.tar.[0-9]* | tar x -C {tmp_path}"
    subprocess.run(["sh", "-c", joined], check=True)
    for wheel in wheels.iterdir():
        assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be imported is named before device time is spent, with the command that brings it."""
    monkeypatch.setattr(libraries, "NEEDED", ("sys", "no_such_package"))
    monkeypatch.setattr(sys, "argv", ["libraries", "--check"])
    assert libraries.main() == 1
    assert "missing here: no_such_package; bring them: " in capsys.readouterr().out


def test_the_page_says_how_to_run_and_whether_anything_has() -> None:
    """docs/gpu.md is what the run writes, or says that nothing has run."""
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert text.startswith(HOW)
    assert text == HOW + NOTHING or "## What was found" in text
    assert page(Report(REAL, 20, 20)).startswith(HOW)
