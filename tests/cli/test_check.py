"""``export --check`` and ``check``: labelled images on the demo's classifier."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from tests.models import SIZE

if TYPE_CHECKING:
    from pathlib import Path

DEMO = resources.files("gagrad_edge") / "demo"
CHECKS = [
    argument
    for name in ("scratch", "dent", "stain", "missing-hole", "ok")
    for argument in ("--check", f"{DEMO / 'samples'}/*-{name}-*={name}")
]
RIGHT = ["--mean", "0.5", "--std", "0.25"]


@pytest.mark.slow
def test_an_export_without_images_says_what_it_does_not_know(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has seen whether pictures are fed right, and the noise that the model bears is a guess."""
    bundle = tmp_path / "tiny.gagrad"
    size = ["--size", *map(str, SIZE)]
    assert run(["export", str(tiny_bundle.with_suffix(".onnx")), "-o", str(bundle), *size]) == 0
    assert "nobody has seen whether pictures are fed right" in capsys.readouterr().err
    alone = read_bundle(bundle).manifest
    assert alone.checked is None
    assert alone.method.operator is not None
    assert alone.method.operator.guessed
    assert run(["inspect", str(bundle)]) == 0
    assert "of made-up frames keep their answer: a guess" in capsys.readouterr().out


@pytest.mark.slow
def test_an_export_keeps_the_evidence_or_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right normalisation passes; a forgotten one is refused and named, and no bundle is written."""
    bundle = tmp_path / "d.gagrad"
    command = ["export", str(DEMO / "defects.onnx"), "-o", str(bundle), "--classes", str(DEMO / "labels.txt")]
    assert run([*command, *CHECKS]) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "of 6 labelled images are answered as labelled" in said
    assert "likely mistake: the pictures should be fed with --mean" in said
    assert "--check-at-least asks for less" in said
    assert not bundle.exists()
    assert run([*command, "--check", f"{DEMO / 'samples'}/*=rust"]) == 2
    assert "--check: the model cannot answer 'rust'" in capsys.readouterr().err
    assert run([*command, *RIGHT, *CHECKS]) == 0
    checked = read_bundle(bundle).manifest.checked
    assert checked is not None
    assert (checked.images, checked.agree, checked.at_least) == (6, 6, 0.9)
    level = read_bundle(bundle).manifest.method.operator
    assert level is not None
    assert (level.images, level.guessed) == (6, False)
    assert level.kept >= 0.95
    assert run(["inspect", str(bundle)]) == 0
    assert "6 of 6 labelled images are answered as labelled" in capsys.readouterr().out
    assert run(["check", str(bundle), *CHECKS, "--device", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["checked"]["agree"], report["passed"]) == (6, True)
    wrong = ["--check", f"{DEMO / 'samples'}/*=ok"]
    assert run(["check", str(bundle), *wrong, "--device", "cpu"]) == 4
    error = capsys.readouterr().err
    assert "ok: 1 of 6 as labelled" in error
    assert run(["check", str(bundle), *wrong, "--device", "cpu", "--check-at-least", "0.1"]) == 0
