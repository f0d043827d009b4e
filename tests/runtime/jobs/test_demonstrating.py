"""The demo: on parts whose defects are known, the maps point at them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.cli import run
from gagrad_runtime.jobs.demonstrating import DEMOS, Demo, mass_inside, truth


@pytest.mark.slow
def test_demo(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each sample is named rightly, and its defect holds several times its share of the map."""
    assert run(["demo", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    samples = sorted((root / "gagrad_edge/demo/samples").iterdir())
    assert len(samples) == 6
    for sample in samples:
        kind = re.match(r"\d-(scratch|dent|stain|missing-hole|ok)", sample.stem)
        assert kind is not None
        line, score = [line for line in said.splitlines() if line.strip().startswith(f"{sample.name}:")]
        assert ("OK" if kind[1] == "ok" else "NG") in score
        assert f": {kind[1]} " in line
        assert (tmp_path / "classifier" / f"{sample.stem}.explained.png").is_file()
        if kind[1] != "ok":
            times = re.search(r": (\d+)×\)", line)
            assert times is not None
            assert int(times[1]) >= 5, line


def test_the_samples_and_the_model_are_what_was_promised(root: Path) -> None:
    """Six images of at least 256², a model of at most 500 kB, a mask for every defect."""
    demo = root / "gagrad_edge" / "demo"
    assert (demo / "defects.onnx").stat().st_size <= 500_000
    for sample in (demo / "samples").iterdir():
        with Image.open(sample) as image:
            assert min(image.size) >= 256
            mask = demo / "masks" / f"{sample.stem}.png"
            assert mask.is_file() != ("-ok-" in sample.stem)
            if mask.is_file():
                with Image.open(mask) as other:
                    assert other.size == image.size


def test_each_demo_finds_its_files(root: Path) -> None:
    """Model, class names and pictures of the table are there, and each name stands for one demo."""
    data = root / "gagrad_edge" / "demo"
    assert len({demo.name for demo in DEMOS}) == len(DEMOS)
    for demo in DEMOS:
        assert (data / demo.model).is_file()
        assert demo.classes is None or (data / demo.classes).is_file()
        assert (data / demo.truths).is_dir()
        assert list((data / demo.frames).iterdir())


def test_truth_is_of_the_class_where_the_file_tells_classes(root: Path) -> None:
    """A class that is on the part has its own pixels, one that is not has none, a score has all of them."""
    data = root / "gagrad_edge" / "demo"
    several = Demo("", "", "", "several", "truths")
    stem = "2-stain-missing-hole-brass"
    everything = truth(several, data, stem, None)
    stain = truth(several, data, stem, "stain")
    hole = truth(several, data, stem, "missing-hole")
    dent = truth(several, data, stem, "dent")
    assert everything is not None
    assert stain is not None
    assert hole is not None
    assert dent is not None
    assert np.array_equal(stain | hole, everything)
    assert stain.any()
    assert hole.any()
    assert not (stain & hole).any()
    assert not dent.any()
    single = Demo("", "", "", "samples", "masks")
    named, whole = (truth(single, data, "3-stain-anodised", kind) for kind in ("stain", None))
    assert named is not None
    assert whole is not None
    assert np.array_equal(named, whole)
    assert truth(single, data, "6-ok-brass", "stain") is None


def test_mass_inside() -> None:
    """mass_inside is the share of the map's sum that lies inside the mask."""
    saliency = np.array([[0.0, 1.0], [3.0, 0.0]], np.float32)
    assert mass_inside(saliency, np.array([[False, True], [False, True]])) == pytest.approx(0.25)
