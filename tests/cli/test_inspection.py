"""``inspect``, ``verify`` and ``doctor``."""

from __future__ import annotations

import builtins
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from gagrad_edge.cli import run
from gagrad_runtime.jobs import diagnosing as diagnosis

Capture = pytest.CaptureFixture[str]


def test_inspect_shows_the_manifest(tiny_bundle: Path, capsys: Capture) -> None:
    """inspect shows classes and hash to people, and the manifest as JSON to programs."""
    assert run(["inspect", str(tiny_bundle)]) == 0
    people = capsys.readouterr().out
    assert "scratch" in people
    assert "sha256" in people
    assert run(["inspect", str(tiny_bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"]["classes"] == ["ok", "scratch", "dent"]


def test_verify_runs_the_selftest(tiny_bundle: Path, capsys: Capture) -> None:
    """verify runs the bundle's self-test and reports its agreement."""
    assert run(["verify", str(tiny_bundle), "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["passed"]
    assert report["agreement"] >= report["required"] == 0.995
    assert "self-test passed, 100 % of the map's pixels agree (99.5 % are required)" in captured.err


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_bad_bundle_is_4(command: str, tmp_path: Path, capsys: Capture) -> None:
    """A bundle that is damaged or missing exits with 4 and a hint."""
    (tmp_path / "x.gagrad").write_bytes(b"PK\x03\x04 and so on")
    assert run([command, str(tmp_path / "x.gagrad")]) == 4
    assert run([command, str(tmp_path / "gone.gagrad")]) == 4
    assert "How to mend it" in capsys.readouterr().err


def test_doctor_names_engines_and_install_lines(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there, and for what is missing the line that installs it."""
    assert run(["doctor", "--json"]) == 0
    parts = {part["name"]: part for part in json.loads(capsys.readouterr().out)["parts"]}
    assert parts["cpu"]["usable"]
    assert parts["export"]["usable"]
    real = metadata.version

    def without(name: str) -> str:
        if name in {"onnx", "torch"}:
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", without)
    missing = {part.name: part for part in diagnosis.diagnose().parts}
    assert 'pip install "gagrad-edge[cpu,export]"' in missing["export"].install
    assert 'pip install "gagrad-edge[torch]"' in missing["torch"].install
    assert run(["doctor"]) == 0


def test_doctor_says_what_is_kept(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where, and how much; it may be deleted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "gagrad-edge" / "onnxruntime").mkdir(parents=True)
    (tmp_path / "gagrad-edge" / "onnxruntime" / "one").write_bytes(bytes(3_000_000))
    assert run(["doctor"]) == 0
    assert f"3 MB kept for the next start in {tmp_path / 'gagrad-edge'}" in capsys.readouterr().out
    assert run(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cache_bytes"] == 3_000_000
    monkeypatch.setattr(diagnosis, "cache_root", lambda: None)
    assert run(["doctor"]) == 0
    assert "nothing is kept" in capsys.readouterr().out


def test_doctor_survives_a_broken_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is installed but does not load is a finding, not a crash."""
    real = builtins.__import__

    def broken(name: str, *rest: Any) -> Any:
        if name == "onnxruntime":
            raise OSError("libonnxruntime.so: wrong ELF class")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)
    cpu = diagnosis.diagnose().parts[0]
    assert not cpu.usable
    assert "wrong ELF class" in cpu.problem


def test_inspect_draws_the_cells_of_the_feature_layer(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    """On the bundle's frame or a given image; the picture has a line at each border of a cell."""
    import numpy as np
    from PIL import Image

    frame = tmp_path / "frame.png"
    Image.new("RGB", (64, 48), (90, 90, 90)).save(frame)
    for name, more in (("own.png", []), ("given.png", ["--image", str(frame)])):
        assert run(["inspect", str(tiny_bundle), "--layer", str(tmp_path / "new" / name), *more]) == 0
        assert name in capsys.readouterr().err
        pixels = np.asarray(Image.open(tmp_path / "new" / name).convert("RGB"))
        yellow = (pixels == (255, 214, 0)).all(axis=2)
        # 12×16 cells on a panel of 315×420: 13 lines across, 17 down.
        across = yellow.sum(axis=1) > 400
        assert np.count_nonzero(np.diff(across.astype(int)) == 1) == 13
        down = yellow.sum(axis=0) > 300
        assert np.count_nonzero(np.diff(down.astype(int)) == 1) == 17


@pytest.mark.parametrize("wrong", [["--layer", "cells.jpg"], ["--image", "frame.png"]])
def test_a_picture_of_the_layer_that_cannot_be_written(
    tiny_bundle: Path, wrong: list[str], capsys: Capture
) -> None:
    """A name that is no .png, and an image without a picture, are wrong settings."""
    assert run(["inspect", str(tiny_bundle), *wrong]) == 2
    assert "png" in capsys.readouterr().err or wrong[0] == "--image"
