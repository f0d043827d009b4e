"""The presets: the operator's map on every kind of question, and the paper's program as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import gagrad_runtime
from gagrad_edge import abi
from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import MethodSpec, NoiseLevel
from gagrad_edge.method.noise_level import USUAL
from gagrad_edge.method.product import product, witnesses
from gagrad_export import export
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.explanation.places import peak_places
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.presets import PRESETS, SAMPLES
from gagrad_runtime.sampling import product as maps
from gagrad_runtime.sampling.saliency import class_activation_map
from gagrad_runtime.session import work
from gagrad_runtime.session.explainer import Explainer
from tests.coarse_network import Coarse
from tests.detector import marked
from tests.models import CLASSES, SIZE, tiny_model

WHOLE = slice(0, SIZE[0]), slice(0, SIZE[1])


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def raw(found: Explanation) -> np.ndarray:
    """Return the map before it was scaled to 0..1."""
    low, high = found.raw
    return np.asarray(low + found.saliency * np.float32(high - low), np.float32)


def test_the_map_is_the_references(explainer: Explainer, frame: np.ndarray) -> None:
    """The default map is made of three other methods' maps, as ``gagrad_edge.method.product`` has it.

    All of a defect's score less that of the class for good parts.
    """
    found = explainer.explain(frame, 1, chunk=4)
    assert found.target.against_name is None
    noise = found.provenance.noise_std
    squared = explainer.explain(
        frame, 1, against="ok", method="smoothgrad-squared", noise_std=noise, samples=SAMPLES, chunk=4
    )
    cams = [
        explainer.explain(frame, 1, against="ok", method=name).saliency for name in ("grad-cam", "layer-cam")
    ]
    expected = product(raw(squared), cams, WHOLE)
    np.testing.assert_allclose(raw(found), expected, rtol=1e-4, atol=1e-6 * expected.max())
    assert found.saliency.max() == 1
    made = found.provenance
    assert (made.preset, made.method, made.samples, made.noise_std) == (
        "operator",
        "gradient-x-cam",
        SAMPLES,
        USUAL,
    )
    assert made.notes == ()
    assert found.record()["method"]["preset"] == "operator"
    again = explainer.explain(frame, 1, chunk=4)
    np.testing.assert_array_equal(again.saliency, found.saliency)


def test_the_paper_is_what_it_was(explainer: Explainer, frame: np.ndarray) -> None:
    """``paper``, a guide, a percentile and the method's name are one program, with the bundle's settings."""
    expected = explainer.explain(frame, preset="paper")
    made = expected.provenance
    assert (made.method, made.samples, made.noise_std, made.percentile) == (
        "guided-absolutegrad",
        6,
        0.15,
        0.85,
    )
    assert expected.rcap is not None
    assert expected.place_stability is None
    for settings in ({"guide": "paper"}, {"percentile": 0.85}, {"method": "guided-absolutegrad"}):
        found = explainer.explain(frame, **settings)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.saliency, expected.saliency)
        assert found.provenance == made


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"preset": "floor"}, "no preset 'floor'"),
        ({"preset": "papers"}, "did you mean paper"),
        ({"preset": "operator", "method": "smoothgrad"}, "operator does not have the method smoothgrad"),
        ({"preset": "paper", "method": "gradient-x-cam"}, "`preset=operator`"),
        ({"preset": "operator", "guide": "paper"}, "has no guide"),
        ({"preset": "operator", "percentile": 0.5}, "has no guide"),
        ({"method": "gradient-x-cam", "percentile": 0.5}, "has no guide"),
        ({"rcap": 1}, "neither True nor False"),
        ({"cover": "yes"}, "neither True nor False"),
    ],
    ids=str,
)
def test_presets_that_make_no_sense(
    explainer: Explainer, frame: np.ndarray, settings: dict[str, Any], said: str
) -> None:
    """What one preset does not have raises SettingError, before any work."""
    with pytest.raises(SettingError, match=said):
        explainer.explain(frame, **settings)


def test_rcap_is_the_papers(explainer: Explainer, frame: np.ndarray) -> None:
    """The operator's preset has it only where it is asked for; the map is the same with it and without."""
    for preset in ("paper", "operator"):
        without, with_it = (explainer.explain(frame, preset=preset, rcap=asked) for asked in (False, True))
        assert without.rcap is None
        assert without.record()["rcap"] is None
        assert with_it.rcap is not None
        np.testing.assert_array_equal(without.saliency, with_it.saliency)
        default = explainer.explain(frame, preset=preset)
        assert (default.rcap is None) == (preset == "operator")


def test_the_noise_is_the_bundles_and_calibration_wins(tiny_bundle: Path, frame: np.ndarray) -> None:
    """The manifest's where images were measured, then the calibration's, then the caller's; else 0.05."""
    with gagrad_runtime.load(tiny_bundle, device="cpu") as explainer:
        assert explainer.explain(frame).provenance.noise_std == USUAL
        for images, expected in ((0, USUAL), (8, 0.02)):
            method = MethodSpec(operator=NoiseLevel(noise_std=0.02, kept=0.97, images=images))
            assert PRESETS["operator"].noise_std(method) == expected
            assert PRESETS["paper"].noise_std(method) == method.noise_std
        explainer.use_noise(NoiseLevel(noise_std=0.03, kept=0.97, images=8))
        assert explainer.explain(frame).provenance.noise_std == 0.03
        assert explainer.explain(frame, preset="paper").provenance.noise_std == 0.15
        assert explainer.explain(frame, noise_std=0.1).provenance.noise_std == 0.1


def test_the_finer_layer_is_a_witness(
    tmp_path: Path, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maps, scaled and enlarged, times the gradient as the formula has it; with the places after that."""
    torch.manual_seed(0)
    export(Coarse().eval(), tmp_path / "coarse.gagrad", size=(64, 96), mean=[0.5], std=[0.25])
    seen: list[Any] = []
    monkeypatch.setattr(work, "peak_places", lambda *given: seen.append(given[1]) or peak_places(*given))
    with gagrad_runtime.load(tmp_path / "coarse.gagrad", device="cpu") as explainer:
        found = explainer.explain(frame, 1, against=0, noise_std=0.05, chunk=4)
        squared = explainer.explain(
            frame, 1, against=0, method="smoothgrad-squared", noise_std=0.05, samples=SAMPLES, chunk=4
        )
        activation = explainer.explain(frame, 1, against=0, method="grad-cam").saliency
        image, _ = prepare(found.frame, explainer.manifest.input)
        runner, upload = explainer.graphs.runner("cam", ""), explainer._work.backend.upload
        cotangent = np.array([[-1, 1, 0, 0]], np.float32)
        outputs = runner.run({abi.IMAGE: upload(image), abi.COTANGENT: upload(cotangent)})
        cams = explainer._work.backend.download(outputs[abi.FINER_CAMS])
    finer = [class_activation_map(cams[method, 0], (64, 96)) for method in (0, 2)]
    whole = slice(0, 64), slice(0, 96)
    expected = witnesses(raw(squared), activation, finer, whole)
    assert expected.finer is not None
    for ours, theirs in zip(seen[0][:2], expected[:2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.max())
    assert seen[0].effect.max() > 0 == seen[0].effect.min()
    assert not seen[0].effect[found.saliency == 0].any()
    assert found.places


def test_refining_ends_where_explain_does(explainer: Explainer, frame: np.ndarray) -> None:
    """All three samples at once by default; of six, four and then all; each complete, with its places."""
    assert [step.samples for step in explainer.refine(frame)] == [3]
    steps = list(explainer.refine(frame, samples=6))
    assert [step.samples for step in steps] == [4, 6]
    assert all(step.places and step.place_stability is not None for step in steps)
    plain = explainer.explain(frame, samples=6)
    np.testing.assert_allclose(steps[-1].saliency, plain.saliency, atol=1e-4)


def test_limits_end_the_sampling(explainer: Explainer, frame: np.ndarray) -> None:
    """A stability that is reached and a time that is up end it, as for every method that averages."""
    stable = explainer.explain(frame, samples=5000, until_stable=0.9)
    assert stable.provenance.stopped == "stable"
    assert stable.samples < 5000
    late = explainer.explain(frame, samples=1000, budget_ms=0.001)
    assert (late.provenance.stopped, late.samples) == ("budget", 4)


def test_place_1_is_the_peak_and_its_halves_are_compared(explainer: Explainer, frame: np.ndarray) -> None:
    """The number 1 is the highest point of the map; the halves of a strong map agree on it."""
    found = explainer.explain(frame, 1, samples=40, cover=False)
    row, column = np.unravel_index(found.saliency.argmax(), SIZE)
    assert found.places[0].peak == pytest.approx((2 * column + 1, 2 * row + 1))
    assert found.place_stability in (0.0, 0.5, 1.0)
    assert found.stability is not None


def test_two_samples_have_halves(explainer: Explainer, frame: np.ndarray) -> None:
    """As the operator's map needs no variance; a method that does has no stability below four samples."""
    found = explainer.explain(frame, samples=2)
    assert None not in (found.stability, found.place_stability)
    assert explainer.explain(frame, preset="paper", samples=3).stability is None


def test_a_constant_image_has_a_map_all_the_same(explainer: Explainer) -> None:
    """Without contrast there is no noise: the map is finite, and a caution says why it tells nothing."""
    found = explainer.explain(np.full((24, 32, 3), 90, np.uint8))
    assert np.isfinite(found.saliency).all()
    assert "constant-image" in {one.code for one in found.cautions}


def test_without_a_graph_for_activation(tiny_bundle: Path, frame: np.ndarray, tmp_path: Path) -> None:
    """The map is the pooled gradient, and a note in record and caption says so."""
    bundle = read_bundle(tiny_bundle)
    from msgspec.structs import replace

    kept = [
        graph for graph in bundle.manifest.graphs if graph.role != "cam" and graph.variant != abi.FEATURES
    ]
    gone = {graph.file for graph in bundle.manifest.graphs} - {graph.file for graph in kept}
    files = {name: entry for name, entry in bundle.manifest.files.items() if name not in gone}
    model = replace(bundle.manifest.model, feature_layer=None, finer_feature_layer=None)
    manifest = replace(bundle.manifest, graphs=kept, files=files, model=model)
    members = {name: bytes(data) for name, data in bundle.members.items() if name not in gone}
    write_bundle(tmp_path / "without.gagrad", manifest, members)
    with gagrad_runtime.load(tmp_path / "without.gagrad", device="cpu") as explainer:
        found = explainer.explain(frame, 1, chunk=4)
        squared = explainer.explain(
            frame,
            1,
            against="ok",
            method="smoothgrad-squared",
            noise_std=found.provenance.noise_std,
            samples=SAMPLES,
            chunk=4,
        )
    np.testing.assert_allclose(raw(found), product(raw(squared), [], WHOLE), rtol=1e-4, atol=1e-9)
    assert found.provenance.notes == (maps.WITHOUT_GRAPH,)
    assert found.record()["method"]["notes"] == [maps.WITHOUT_GRAPH]
    assert all(place.evidence == "map" for place in found.places)


def test_where_no_feature_speaks_for_the_result(
    explainer: Explainer, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class activation of zeros is none: the gradient alone, and a note."""
    zeros = maps.Saliency(np.zeros(SIZE, np.float32), (0.0, 0.0), dead=True)
    monkeypatch.setattr(maps, "class_activations", lambda *_: [zeros, zeros])
    found = explainer.explain(frame)
    assert found.provenance.notes == (maps.WITHOUT_EVIDENCE,)
    assert found.saliency.max() == 1


def test_a_dead_gradient_is_said(
    explainer: Explainer, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that does not react gives a map of zeros without places, and a caution."""
    monkeypatch.setattr(maps.ProductMaps, "state_map", lambda *_: np.zeros(SIZE, np.float32))
    found = explainer.explain(frame)
    assert not found.saliency.any()
    assert found.places == ()
    assert found.place_stability is None
    assert "dead-gradient" in {one.code for one in found.cautions}


def test_a_detection_is_explained_where_it_is(detector_bundle: Path) -> None:
    """Place 1 of each of two marks is on that mark, whichever is asked for."""
    with gagrad_runtime.load(detector_bundle, device="cpu") as explainer:
        frame = marked((40, 40, 0), (150, 90, 1))
        for found in explainer.explain_each(frame):
            assert found.provenance.preset == "operator"
            left, top, right, bottom = found.target.box or (0, 0, 0, 0)
            x, y = found.places[0].peak
            assert left <= x <= right
            assert top <= y <= bottom


@pytest.fixture(scope="module")
def letterbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explainer]:
    from gagrad_export import BundleOptions, InputOptions, MethodSpec, export

    folder = tmp_path_factory.mktemp("letterbox")
    onnx.save(tiny_model(), folder / "m.onnx")
    export(
        folder / "m.onnx",
        folder / "m.gagrad",
        size=SIZE,
        classes=CLASSES,
        inputs=InputOptions(resize="letterbox", pad_value=114),
        bundle=BundleOptions(method=MethodSpec(samples=6, chunk=4)),
    )
    with gagrad_runtime.load(folder / "m.gagrad", device="cpu") as loaded:
        yield loaded


@pytest.mark.slow
@pytest.mark.parametrize("size", [(24, 120), (90, 20)])
def test_padding_is_never_a_place(letterbox: Explainer, size: tuple[int, int]) -> None:
    """Of a letterboxed frame the map beside the frame is 0, and each place lies on the frame."""
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    for target in range(3):
        found = letterbox.explain(frame, target)
        rows, columns = found.placement.on_model
        beside = found.saliency.copy()
        beside[rows, columns] = 0
        assert not beside.any()
        for one in found.places:
            left, top, right, bottom = one.box
            assert 0 <= left < right <= size[1]
            assert 0 <= top < bottom <= size[0]
            for x, y in (one.peak, one.middle):
                assert left <= x <= right
                assert top <= y <= bottom


@pytest.mark.slow
def test_openvino_has_the_same_places(tiny_bundle: Path, frame: np.ndarray) -> None:
    """The map of another engine agrees up to rounding, and so do its places."""
    load = gagrad_runtime.load
    with load(tiny_bundle, device="cpu") as known, load(tiny_bundle, device="openvino") as other:
        expected, found = known.explain(frame), other.explain(frame)
    np.testing.assert_allclose(found.saliency, expected.saliency, atol=1e-3)
    assert [one.peak for one in found.places] == [one.peak for one in expected.places]
