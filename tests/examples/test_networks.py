"""The demo's detector, segmenter and anomaly scorer: the files that ship do what docs/demo-*.md say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from examples.defects.anomalies import auroc
from examples.defects.answers import answers
from examples.defects.defective import HELD_OUT_SERIES, DefectiveParts, defective_parts
from examples.defects.detecting import Detected, average_precision, average_precisions, overlap, suppressed
from examples.defects.parts import CLASSES
from examples.defects.segmenting import shares
from examples.defects.train_anomaly import held_out_parts

NETWORKS = {
    "detector": {"output0": ["batch", 8, 980]},
    "segmenter": {"logits": ["batch", 5, 224, 224]},
    "anomaly": {
        "pred_score": ["batch", 1],
        "pred_label": ["batch", 1],
        "anomaly_map": ["batch", 1, 224, 224],
        "pred_mask": ["batch", 1, 224, 224],
    },
}


@pytest.fixture
def demo(root: Path) -> Path:
    return root / "gagrad_edge" / "demo"


@pytest.fixture(scope="module")
def held_out() -> DefectiveParts:
    """Parts that none of the networks was trained on."""
    return defective_parts(HELD_OUT_SERIES, 100)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_files_have_the_promised_size_and_ends(demo: Path, name: str) -> None:
    """At most 600 kB, opset 18 or older, a free batch, and the outputs that users of such models know."""
    path = demo / f"{name}.onnx"
    assert path.stat().st_size <= 600_000
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import if not entry.domain] <= [18]
    (image,) = model.graph.input
    assert [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim] == ["batch", 3, 224, 224]
    outputs = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in model.graph.output
    }
    assert outputs == NETWORKS[name]


@pytest.mark.slow
def test_the_detector_finds_the_defects_of_held_out_parts(demo: Path, held_out: DefectiveParts) -> None:
    """The mean of the classes' AP50 is 0.9 or more on 100 parts that it was not trained on."""
    precisions = average_precisions(demo / "detector.onnx", held_out)
    assert list(precisions) == (demo / "detector.txt").read_text().split() == list(CLASSES[1:])
    assert np.mean(list(precisions.values())) >= 0.9, precisions


@pytest.mark.slow
def test_the_segmenter_covers_the_defects_of_held_out_parts(demo: Path, held_out: DefectiveParts) -> None:
    """The mean IoU of the defects is 0.5 or more on 100 parts that it was not trained on."""
    found = shares(demo / "segmenter.onnx", held_out)
    assert list(found) == (demo / "segmenter.txt").read_text().split()
    assert np.mean(list(found.values())[1:]) >= 0.5, found


@pytest.mark.slow
def test_the_anomaly_scorer_tells_good_from_bad(demo: Path) -> None:
    """AUROC of 100 held-out parts and of their pixels is 0.95 or more; labels are scores above 0.5."""
    images, labels, masks = held_out_parts(100)
    names = ("pred_score", "pred_label", "anomaly_map", "pred_mask")
    scores, flags, maps, above = answers(demo / "anomaly.onnx", images, names)
    assert auroc(scores[:, 0], labels > 0) >= 0.95
    assert auroc(maps[:, 0], masks) >= 0.95
    assert min(scores.min(), maps.min()) >= 0
    assert max(scores.max(), maps.max()) <= 1
    assert np.array_equal(flags, scores > 0.5)
    assert np.array_equal(above, maps > 0.5)
    assert np.allclose(scores[:, 0], maps.max((1, 2, 3)), atol=1e-6)


def test_each_picture_with_several_defects_has_its_truth(demo: Path) -> None:
    """Boxes with names, and each pixel's class: a box holds pixels of its class."""
    boxes = json.loads((demo / "truths" / "boxes.json").read_text())
    assert sorted(boxes) == sorted(path.name for path in (demo / "several").iterdir())
    for name, defects in boxes.items():
        classes = np.asarray(Image.open(demo / "truths" / f"{Path(name).stem}.png"))
        with Image.open(demo / "several" / name) as picture:
            assert picture.size == classes.shape[::-1]
        assert len(defects) >= 2
        for defect in defects:
            left, top, right, bottom = map(int, defect["box"])
            assert (classes[top:bottom, left:right] == CLASSES.index(defect["class"])).any()


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    """Two boxes of one class on one place become one; another class, and another place, stay."""
    places = [(10, 10, 8, 8, 0.6, 0), (11, 10, 8, 8, 0.9, 0), (11, 10, 8, 8, 0, 0.5), (30, 10, 8, 8, 0.7, 0)]
    found = suppressed(np.array(places, np.float32).T)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert found.labels.tolist() == [1, 1, 2]
    assert found.boxes[0].tolist() == [7, 6, 15, 14]


def test_overlap_is_intersection_over_union() -> None:
    """Half of each of two equal squares in common is a third; apart is none."""
    others = np.array([[2, 0, 6, 4], [8, 8, 9, 9]], np.float32)
    assert overlap(np.array([0, 0, 4, 4], np.float32), others).tolist() == pytest.approx([1 / 3, 0])


def test_average_precision_of_a_ranking_by_hand() -> None:
    """Right, wrong, right of three wanted: 1/3 at precision 1, 1/3 at 2/3, the last third is never found."""
    box = np.array([[0, 0, 10, 10]], np.float32)
    far, one = box + 50, np.ones(1, np.int64)
    truth = Detected(box, one, np.ones(1, np.float32))
    found = [
        Detected(box, one, np.array([0.9], np.float32)),
        Detected(far, one, np.array([0.8], np.float32)),
        Detected(box, one, np.array([0.7], np.float32)),
    ]
    assert average_precision(found, [truth] * 3, 1) == pytest.approx(1 / 3 + 2 / 9)


def test_auroc_counts_equal_scores_as_one_half() -> None:
    """Of four pairs of a bad and a good one, three are in order and one is equal."""
    assert auroc(np.array([0.1, 0.5, 0.5, 0.9], np.float32), np.array([False, False, True, True])) == 0.875
