"""From calibration to a map: a missing hole is found where it should be, with the file beside the bundle."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_runtime.explanation.explanation import Explanation
from tests.runtime.reference.parts import HOLES, Part, part

COUNTS_HOLES = """
<ir_version: 10, opset_import: ["" : 18]>
holes (float[N, 3, 128, 128] x) => (float[N, 2] scores)
<float[1, 3, 9, 9] dark, float[1] level, float[2, 1] weights, float[2] bias>
{
    seen = Conv <pads = [4, 4, 4, 4]> (x, dark, level)
    holes = Relu (seen)
    mean = GlobalAveragePool (holes)
    flat = Flatten (mean)
    scores = Gemm <transB = 1> (flat, weights, bias)
}
"""
"""Classes ``ok`` and ``ng`` by the area of the dark holes, of a network that never saw where they are."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a calibrated bundle: eight good parts, up to 5 pixels and 3 degrees away."""
    folder = tmp_path_factory.mktemp("line")
    model = onnx.parser.parse_model(COUNTS_HOLES)
    area = math.pi * 64 / 128**2 * 0.13
    for name, values in (
        ("dark", np.full((1, 3, 9, 9), -1 / 243)),
        ("level", np.array([0.3])),
        ("weights", np.array([[4 / area], [-4 / area]])),
        ("bias", np.array([-13.0, 13.0])),
    ):
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    onnx.save(model, folder / "holes.onnx")
    (folder / "labels.txt").write_text("ok\nng\n")
    labels = str(folder / "labels.txt")
    assert (
        run(["export", str(folder / "holes.onnx"), "-o", str(folder / "part.gagrad"), "--classes", labels])
        == 0
    )
    rng = np.random.default_rng(70)
    (folder / "good").mkdir()
    for number in range(8):
        save(part(rng), folder / "good" / f"{number}.png")
    assert run(["calibrate", str(folder / "part.gagrad"), str(folder / "good")]) == 0
    return folder


def save(one: Part, path: Path) -> Path:
    Image.fromarray(one.frame.pixels).save(path)
    return path


def distance(found: Explanation, number: int, one: Part, hole: int) -> float:
    (x, y), (column, row) = found.places[number].peak, one.place(*HOLES[hole])
    return math.hypot(x - column, y - row)


@pytest.mark.slow
@pytest.mark.parametrize("hole", range(4))
def test_place_1_is_where_a_hole_is_missing(line: Path, hole: int) -> None:
    """With good parts; without, the map points at one of the holes that are there."""
    broken = part(np.random.default_rng(80 + hole), missing=hole)
    with gagrad_runtime.load(line / "part.gagrad") as explainer:
        found = explainer.explain(broken.frame, rcap=False)
        assert found.prediction is not None
        assert found.prediction.verdict == "ng"
        assert found.provenance.good_image
        assert found.provenance.good_sha256 == explainer.good_sha256
        assert distance(found, 0, broken, hole) < 8
        assert found.scale is not None
        assert found.raw[1] > found.scale.value
    with gagrad_runtime.load(line / "part.gagrad", good=False) as explainer:
        found = explainer.explain(broken.frame, rcap=False)
        assert not found.provenance.good_image
        assert distance(found, 0, broken, hole) > 16


@pytest.mark.slow
def test_good_parts_stay_calm_and_strangers_are_compared_with_nothing(line: Path) -> None:
    """Further good parts stay at what good parts reach; a part that does not fit has the plain map."""
    rng = np.random.default_rng(90)
    with gagrad_runtime.load(line / "part.gagrad") as explainer:
        for _ in range(4):
            found = explainer.explain(part(rng).frame, rcap=False)
            assert found.scale is not None
            assert found.raw[1] < 2 * found.scale.value
        stranger = explainer.explain(part(rng, plain=True).frame, rcap=False)
        assert not stranger.provenance.good_image
        assert stranger.provenance.good_sha256 is not None
        assert stranger.scale is None
