"""``gagrad-edge audit`` as its user meets it, with a real bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")

import pyarrow.parquet as pq

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_runtime.audit.quality import unpacked

Capture = pytest.CaptureFixture[str]


@pytest.mark.slow
def test_the_table_says_what_predict_and_explain_say(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    """The answer of each image is that of ``predict``, the explanation that of ``explain``, bit for bit."""
    rng, folder = np.random.default_rng(0), tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "broken.png").write_text("no image")
    out = tmp_path / "audit"
    assert (
        run(["audit", str(tiny_bundle), str(folder), "-o", str(out), "--one-in", "1", "--workers", "1"]) == 0
    )
    assert "5 images in 1 shard, 1 worker" in capsys.readouterr().err
    rows = pq.read_table(out / "shards").to_pylist()
    assert [bool(row["error"]) for row in rows] == [False] * 4 + [True]
    with gagrad_runtime.load(tiny_bundle) as explainer:
        for row in rows[:4]:
            said, explanation = explainer.predict(row["path"]), explainer.explain(row["path"])
            assert row["verdict"] == said.verdict
            assert row["probability"] == pytest.approx(said.probability, rel=1e-6)
            assert row["sha256"] == explanation.frame.sha256
            assert row["explained"]
            assert set(row["cautions"]) == {one.code for one in explanation.cautions}
            assert [(p["left"], p["top"], p["right"], p["bottom"]) for p in row["places"]] == [
                place.box for place in explanation.places
            ]
            assert explanation.covering is not None
            assert row["covered_before"] == pytest.approx(explanation.covering.before, rel=1e-6)
            assert unpacked([row["map"]]).sum() == pytest.approx(1)


@pytest.mark.slow
def test_the_plan_comes_before_the_work(tiny_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    """--plan makes no shard; a budget that is too short says what is needed, and keeps no plan."""
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    listed, out = tmp_path / "list.txt", tmp_path / "audit"
    listed.write_text("a.png\n" * 50_000)
    command = ["audit", str(tiny_bundle), str(listed), "-o", str(out), "--plan", "--workers", "1"]
    assert run([*command, "--budget", "1s"]) == 2
    assert "--budget: the answers alone" in capsys.readouterr().err
    assert run(command) == 0
    assert "50,000 images in 50 shards" in capsys.readouterr().err
    assert list((out / "shards").iterdir()) == []
