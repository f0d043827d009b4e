"""Other questions to the same machinery: regions, class activation maps, perturbed copies, another guide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import gagrad_runtime
from gagrad_edge.errors import SettingError, TargetError
from gagrad_edge.method.reference import State, finalize
from gagrad_export import BundleOptions, OutputOptions, export
from gagrad_runtime.session.explainer import Explainer

SIZE = (32, 40)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explainer]:
    """Yield a segmentation of 3 classes at half the size, whose cells see 5 × 5 pixels of the image."""
    generator = np.random.default_rng(0)
    first = numpy_helper.from_array(generator.normal(size=(6, 3, 3, 3)).astype(np.float32), "first")
    second = numpy_helper.from_array(generator.normal(size=(3, 6, 3, 3)).astype(np.float32), "second")
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["scores"], pads=[1, 1, 1, 1], strides=[2, 2]),
    ]
    image = helper.make_tensor_value_info("x", 1, ["N", 3, *SIZE])
    scores = helper.make_tensor_value_info("scores", 1, ["N", 3, SIZE[0] // 2, SIZE[1] // 2])
    graph = helper.make_graph(nodes, "segmenter", [image], [scores], [first, second])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder = tmp_path_factory.mktemp("segmenter")
    onnx.save(model, folder / "m.onnx")
    names = ["background", "scratch", "dent"]
    export(
        folder / "m.onnx",
        folder / "m.gagrad",
        classes=names,
        outputs=OutputOptions(activation="softmax"),
        bundle=BundleOptions(feature_layer="b", perturbations=True),
    )
    with gagrad_runtime.load(folder / "m.gagrad", device="cpu") as explainer:
        yield explainer


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (64, 80, 3), dtype=np.uint8)


@pytest.mark.slow
def test_a_box_in_the_frame_is_where_the_map_is(segmenter: Explainer, frame: np.ndarray) -> None:
    """The frame is twice the image: the box covers rows 8 to 20 and columns 10 to 20 there, and 2 more."""
    found = segmenter.explain(frame, "scratch", region="20,16,40,40")
    inside = found.saliency[8 - 2 : 20 + 2, 10 - 2 : 20 + 2]
    assert found.saliency.sum() == pytest.approx(inside.sum(), rel=1e-6)
    assert (inside > 0).mean() > 0.5
    assert found.target.index == (1,)
    assert found.target.region is not None
    assert found.target.region.cells.sum() == 6 * 5
    cells = found.probabilities[1, 4:10, 5:10]  # type: ignore[index]
    assert found.probability == pytest.approx(cells.mean(), rel=1e-5)


@pytest.mark.slow
def test_the_scores_of_a_region_add_up(segmenter: Explainer, frame: np.ndarray) -> None:
    """The gradient of the sum is the sum of the cells' gradients: two boxes and the one of both."""

    def gradient(region: str) -> np.ndarray:
        return segmenter.explain(frame, 2, region=region, method="input-x-gradient").saliency

    whole = segmenter.explain(frame, 2, region="0,0,80,64", method="gradient")
    parts = [segmenter.explain(frame, (2, y, x), method="gradient") for y in range(16) for x in range(20)]
    assert whole.raw[1] < sum(part.raw[1] for part in parts)
    assert not np.allclose(gradient("0,0,8,8"), gradient("40,40,80,64"))


def test_a_mask_says_the_same_as_its_box(segmenter: Explainer, frame: np.ndarray, tmp_path: Path) -> None:
    """A mask, as a file or as an array, gives the map of the box that it fills."""
    mask = np.zeros((64, 80), np.uint8)
    mask[16:40, 20:40] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    box = segmenter.explain(frame, "dent", region="20,16,40,40")
    for region in (str(tmp_path / "mask.png"), tmp_path / "mask.png", mask > 0, (20, 16, 40, 40)):
        np.testing.assert_array_equal(segmenter.explain(frame, "dent", region=region).saliency, box.saliency)


def test_without_a_class_a_region_is_of_the_class_it_shows_most(
    segmenter: Explainer, frame: np.ndarray
) -> None:
    """A region without a class takes the class with the highest mean score in it."""
    found = segmenter.explain(frame, region="20,16,40,40", method="gradient")
    assert found.target.index == (int(np.argmax(found.scores[:, 4:10, 5:10].mean(axis=(1, 2)))),)
    against = segmenter.explain(frame, 0, against=1, region="20,16,40,40")
    assert against.target.against_name == "scratch"


@pytest.mark.parametrize(
    ("region", "said"),
    [("40,40,20,60", "no box"), ("500,500,600,600", "empty"), (np.ones((5, 5), bool), "5 high and 5 wide")],
    ids=["turned", "outside", "small"],
)
def test_regions_that_are_none(
    segmenter: Explainer, frame: np.ndarray, region: str | np.ndarray, said: str
) -> None:
    """A box that is turned or off the frame, and a mask of another size, raise TargetError."""
    with pytest.raises(TargetError, match=said):
        segmenter.explain(frame, 1, region=region)


def test_a_class_or_one_element(segmenter: Explainer, frame: np.ndarray) -> None:
    """A class alone is explained where it is predicted, class and place together as one element."""
    region = segmenter.explain(frame, "scratch", method="gradient").target.region
    assert region is not None
    assert region.found
    assert segmenter.explain(frame, (1, 4, 5), method="gradient").target.name == "scratch[4, 5]"


def test_class_activation_maps(segmenter: Explainer, frame: np.ndarray) -> None:
    """Of each class in a region; one that nothing speaks for has an empty map, and that is said."""
    shown = {}
    for name in ("grad-cam", "grad-cam++", "layer-cam"):
        for index in range(3):
            one = segmenter.explain(frame, index, region="20,16,40,40", method=name)
            assert one.saliency.shape == SIZE
            assert one.stability is None
            assert 0 <= one.rcap.score <= 1
            empty = any(caution.code in ("no-evidence",) for caution in one.cautions)
            assert (float(one.saliency.min()), float(one.saliency.max())) == (0.0, 0.0 if empty else 1.0)
            if not empty:
                shown[name, index] = one.saliency
    assert len({name for name, _ in shown}) == 3
    index = next(index for name, index in shown if name == "grad-cam")
    assert not np.allclose(shown["grad-cam", index], shown["layer-cam", index])


def test_the_pooled_guide_is_its_reference(segmenter: Explainer, frame: np.ndarray) -> None:
    """The device's map from the same state as the paper's guide."""
    found = segmenter.explain(frame, (1, 4, 5), guide="pooled", samples=10)
    assert found.provenance.guide == "pooled"
    assert found.stability is not None
    first, second = segmenter._work._sampler.halves()
    from gagrad_edge.method.reference import combine

    state: State = combine(first, second)
    np.testing.assert_allclose(found.saliency, finalize(state, 0.85, "pooled"), atol=2e-3)


def test_perturbed_copies(segmenter: Explainer, frame: np.ndarray) -> None:
    """Perturbed copies change the map as their range says, and are refused where there is no average."""
    plain = segmenter.explain(frame, (1, 4, 5), preset="paper")
    shifted = segmenter.explain(frame, (1, 4, 5), preset="paper", perturb="shift=3,gain=0.1")
    nothing = segmenter.explain(frame, (1, 4, 5), preset="paper", perturb="shift=0")
    assert shifted.provenance.perturbation == "shift=3,gain=0.1"
    np.testing.assert_allclose(nothing.saliency, plain.saliency, atol=1e-3)
    assert (shifted.saliency > 0.01).sum() > (plain.saliency > 0.01).sum(), "the receptive field wanders"
    place = segmenter.explain(frame, (1, 4, 5), perturb="shift=3,gain=0.1", chunk=10)
    assert (place.provenance.preset, place.samples, place.stability is not None) == ("operator", 3, True)
    with pytest.raises(SettingError, match="no perturbation"):
        segmenter.explain(frame, (1, 4, 5), perturb="wobble=3")
    with pytest.raises(SettingError, match="not an average"):
        segmenter.explain(frame, (1, 4, 5), method="gradient", perturb="shift=3")


def test_perturbed_copies_need_their_graph(tiny_bundle: Path, frame: np.ndarray) -> None:
    """Perturbations with a bundle that has no graph for them raise SettingError with the option."""
    with (
        gagrad_runtime.load(tiny_bundle, device="cpu") as explainer,
        pytest.raises(SettingError, match="export the model again with `perturbations`"),
    ):
        explainer.explain(frame, perturb="shift=3")
