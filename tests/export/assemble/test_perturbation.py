"""Perturbations in ``accumulate``: what they do, and that the gradient has been through their adjoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.cli import run
from gagrad_edge.errors import VerificationError
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.perturbation import COLUMNS, IDENTITY, MAX_ANGLE
from gagrad_edge.method.reference import State
from gagrad_export.assemble import accumulate_graph, perturbation
from gagrad_export.assemble.graph import add_input, finish, new_graph
from gagrad_export.assemble.perturbation import disc, perturbed
from gagrad_export.canonicalise import canonicalise
from gagrad_export.differentiate import gradients, registry
from gagrad_export.emit import INTERNAL, Op
from gagrad_export.lower import lower
from gagrad_export.verify import Sessions
from gagrad_export.verify.gradient import Point, model_input
from gagrad_export.verify.perturbation import verify_perturbations
from tests.export.networks import tensorrt_refuses
from tests.models import tiny_model

SHAPE = (3, 24, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SPEC = InputSpec(height=24, width=32, colour="rgb", mean=list(MEAN), std=list(STD))
CHANNEL = (1, 3, 1, 1)


def row(**values: float) -> np.ndarray:
    """Return one row of ``perturbation``, the identity but for ``values``."""
    every = dict(zip(COLUMNS, IDENTITY, strict=True)) | values
    return np.array([[every[name] for name in COLUMNS]], np.float32)


ROWS = {
    "identity": {},
    "gain": {"gain": 1.3},
    "offset": {"offset": -0.2},
    "shift_y": {"shift_y": 2.3},
    "shift_x": {"shift_x": -5.75},
    "far": {"shift_x": 100.0, "shift_y": -20.5},
    "angle": {"angle": 0.11},
    "angle the other way": {"angle": -MAX_ANGLE},
    "flip": {"flip": 1.0},
    "blur": {"blur": 0.6},
    "blur between discs": {"blur": 2.5},
    "read_noise": {"read_noise": 0.1},
    "shot_noise": {"shot_noise": 0.02},
    "all": {
        "gain": 0.9,
        "offset": 0.05,
        "shift_y": 1.4,
        "shift_x": -0.7,
        "angle": -0.06,
        "flip": 1.0,
        "blur": 1.3,
        "read_noise": 0.02,
        "shot_noise": 0.01,
    },
}


@pytest.fixture(scope="module")
def alone() -> bytes:
    """Return the perturbation and its adjoint, with no network behind."""
    op = new_graph("perturbation")
    x, noise = add_input(op, "x", [1, *SHAPE]), add_input(op, "noise", ["B", *SHAPE])
    deviation, perturbation = (
        add_input(op, "deviation", []),
        add_input(op, "perturbation", ["B", len(COLUMNS)]),
    )
    cotangent, delta = add_input(op, "cotangent", ["B", *SHAPE]), add_input(op, "delta", ["B", *SHAPE])
    copies, samples = perturbed(op, x, noise, deviation, perturbation, SPEC)
    moved = op.Add(copies, delta)
    for use in [use for use in copies.uses() if use.node is not moved.producer()]:
        use.node.replace_input_with(use.idx, moved)
    op.graph.sort()
    (gradient,) = gradients(op, {samples: cotangent}, [moved])
    assert gradient is not None
    outputs = {"samples": op.Identity(samples), "gradient": op.Identity(gradient)}
    lower(op)
    return finish(op, outputs).complete()


@pytest.fixture(scope="module")
def perturb(alone: bytes) -> Any:
    session = onnxruntime.InferenceSession(alone)

    def run(x: np.ndarray, perturbation: np.ndarray, **given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = len(perturbation)
        zeros = np.zeros((rows, *SHAPE), np.float32)
        feed = {"noise": zeros, "cotangent": zeros, "delta": zeros, "deviation": np.array(0.0, np.float32)}
        return tuple(session.run(None, feed | given | {"x": x, "perturbation": perturbation}))

    return run


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """Return a smooth image ``[1, 3, H, W]`` in 0..1."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(0.2 * x + k) * np.cos(0.15 * y - k) + 0.02 * x for k in range(3)]
    image = np.stack(planes)[None].astype(np.float32)
    scaled: np.ndarray = (image - image.min()) / np.ptp(image)
    return scaled


def as_input(image: np.ndarray) -> np.ndarray:
    return (image - np.float32(MEAN).reshape(CHANNEL)) / np.float32(STD).reshape(CHANNEL)


def as_image(x: np.ndarray) -> np.ndarray:
    return x * np.float32(STD).reshape(CHANNEL) + np.float32(MEAN).reshape(CHANNEL)


@pytest.mark.parametrize("values", ROWS.values(), ids=ROWS)
def test_the_adjoint_is_the_adjoint(perturb: Any, values: dict[str, float]) -> None:
    """⟨J u, v⟩ = ⟨u, Jᵀ v⟩ to 1e-5. Everything but shot noise is affine, so a step of any size gives J u."""
    rng = np.random.default_rng(2)
    x = as_input(0.2 + 0.6 * picture())
    rows = np.repeat(row(**values), 2, axis=0)
    noise = rng.standard_normal((2, *SHAPE)).astype(np.float32)
    u = rng.standard_normal((2, *SHAPE)).astype(np.float32)
    # The shot noise's root bends: a step so small that it does not, and no smaller, for the rounding.
    step = np.float32(1e-2 if values.get("shot_noise") else 1.0)
    given = {"noise": noise, "deviation": np.array(0.4, np.float32)}
    plus, _ = perturb(x, rows, delta=step * u, **given)
    minus, _ = perturb(x, rows, delta=-step * u, **given)
    pushed = (plus.astype(np.float64) - minus) / (2 * step)
    v = (pushed + np.abs(pushed).max() * rng.uniform(-0.3, 0.3, pushed.shape)).astype(np.float32)
    _, pulled = perturb(x, rows, cotangent=v, **given)
    left, right = np.vdot(pushed, v), np.vdot(u.astype(np.float64), pulled)
    assert abs(left) > 1 or values == ROWS["far"]
    assert left == pytest.approx(right, rel=1e-5, abs=1e-6)


def test_the_identity_is_the_image(perturb: Any) -> None:
    """The perturbation that changes nothing gives the image."""
    x = as_input(picture())
    samples, _ = perturb(x, row())
    np.testing.assert_allclose(samples, x, atol=1e-6)


def test_exposure(perturb: Any) -> None:
    """Gain multiplies pixel values and offset is added to them."""
    image = picture()
    samples, _ = perturb(as_input(image), row(gain=0.8, offset=0.1))
    np.testing.assert_allclose(as_image(samples), 0.8 * image + 0.1, atol=1e-6)


def test_flip_and_shift_by_whole_pixels(perturb: Any) -> None:
    """Down and right; what comes from outside is the channel's mean."""
    image = picture()
    samples, _ = perturb(as_input(image), row(flip=1, shift_y=2, shift_x=3))
    expected = np.broadcast_to(image.mean((2, 3), keepdims=True), image.shape).copy()
    expected[..., 2:, 3:] = image[..., ::-1][..., :-2, :-3]
    np.testing.assert_allclose(as_image(samples), expected, atol=1e-6)


@pytest.mark.parametrize(
    "values", [{"angle": 0.1}, {"angle": -MAX_ANGLE}, {"angle": 0.05, "shift_x": 3.5, "shift_y": -1}]
)
def test_rotation_and_shift_are_opencvs(perturb: Any, values: dict[str, float]) -> None:
    """A smooth picture turned by shears is the picture turned at once, except where the outside comes in."""
    image = picture()
    samples, _ = perturb(as_input(image), row(**values))
    matrix = cv2.getRotationMatrix2D((15.5, 11.5), np.degrees(values["angle"]), 1.0)
    matrix[:, 2] += values.get("shift_x", 0), values.get("shift_y", 0)
    planes = [cv2.warpAffine(plane, matrix, (32, 24), flags=cv2.INTER_CUBIC) for plane in image[0]]
    inside = cv2.warpAffine(np.ones((24, 32), np.float32), matrix, (32, 24)) > 0.999
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5)), borderValue=0).astype(bool)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(as_image(samples)[0][:, inside], np.stack(planes)[:, inside], atol=0.02)


def test_blur_is_a_disc(perturb: Any) -> None:
    """A point becomes a disc of sum 1, wider with the radius, half of each between two radii."""
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, :, 12, 16] = 1
    spread = {}
    for radius in (1, 1.5, 2, 3):
        samples, _ = perturb(as_input(image), row(blur=radius))
        found = as_image(samples)[0, 0] - image.mean()
        spread[radius] = found[9:16, 13:20] + image.mean()
        np.testing.assert_allclose(spread[radius].sum(), 1, atol=0.05)
    np.testing.assert_allclose(spread[3], disc(3), atol=2e-3)
    np.testing.assert_allclose(spread[1.5], (spread[1] + spread[2]) / 2, atol=1e-5)
    assert disc(1)[1, 1] == disc(1).max()
    assert disc(2).sum() == pytest.approx(1, abs=1e-6)


def test_sensor_noise_follows_the_signal(perturb: Any) -> None:
    """Variance read² + shot·I, beside that of the method; and the derivative of its level, for one."""
    image = np.full((1, *SHAPE), 0.25, np.float32)
    image[..., 16:] = 0.64
    noise = np.ones((1, *SHAPE), np.float32)
    x, ones = as_input(image), np.ones((1, *SHAPE), np.float32)
    samples, gradient = perturb(x, row(read_noise=0.3, shot_noise=0.5), noise=noise, cotangent=ones)
    level = np.sqrt(0.3**2 + 0.5 * image)
    np.testing.assert_allclose(as_image(samples) - image, level, rtol=1e-5)
    np.testing.assert_allclose(gradient, 1 + 0.5 / (2 * level), rtol=1e-5)
    deviation = np.array(0.7, np.float32)
    samples, _ = perturb(x, row(read_noise=0.3), noise=noise, deviation=deviation)
    std = np.float32(STD).reshape(CHANNEL)
    np.testing.assert_allclose(samples - x, np.sqrt(0.7**2 + (0.3 / std) ** 2) * ones, rtol=1e-5)


@pytest.fixture(scope="module")
def graphs() -> tuple[GraphFile, GraphFile]:
    """``accumulate`` of the tiny model, plain and with perturbations."""
    model = canonicalise(tiny_model())
    return accumulate_graph(model, SPEC)[0], accumulate_graph(model, SPEC, perturbations=True)[0]


def feed(rows: int) -> dict[str, np.ndarray]:
    state = State.empty(SHAPE)
    noise = np.random.default_rng(3).standard_normal((rows, *SHAPE)).astype(np.float32)
    maps = {name: getattr(state, name) for name in ("abs_sum", "mean", "m2")}
    return maps | {
        "image": picture(),
        "noise": noise,
        "noise_std": np.array(0.15, np.float32),
        "cotangent": np.eye(1, 3, 1, dtype=np.float32),
        "count": np.array(0, np.float32),
    }


def test_the_identity_is_plain_accumulate(graphs: tuple[GraphFile, GraphFile]) -> None:
    """With perturbations that change nothing the graph gives the results of plain accumulate."""
    plain, with_perturbations = (onnxruntime.InferenceSession(graph.complete()) for graph in graphs)
    expected = plain.run(None, feed(4))
    found = with_perturbations.run(None, feed(4) | {"perturbation": np.repeat(row(), 4, axis=0)})
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5 * max(np.abs(two).max(), 1e-6))


def test_each_row_has_its_own_perturbation(graphs: tuple[GraphFile, GraphFile]) -> None:
    """A chunk is what its rows are alone: the sum of |g|."""
    session = onnxruntime.InferenceSession(graphs[1].complete())
    rows = np.concatenate([row(), row(**ROWS["all"]), row(flip=1.0)])
    given = feed(3)
    together = session.run(["abs_sum_out"], given | {"perturbation": rows})[0]
    alone = [
        session.run(
            ["abs_sum_out"], given | {"noise": given["noise"][i : i + 1], "perturbation": rows[i : i + 1]}
        )[0]
        for i in range(3)
    ]
    np.testing.assert_allclose(together, sum(alone), rtol=1e-4, atol=1e-5)
    assert np.abs(alone[0] - alone[2]).max() > 1e-3


@pytest.mark.slow
def test_tensorrt_builds_it(graphs: tuple[GraphFile, GraphFile]) -> None:
    """TensorRT-RTX builds the perturbed graph, which contains no Scatter."""
    assert tensorrt_refuses(graphs[1]) == ""
    operators = {node.op_type for node in onnx.load_from_string(graphs[1].complete()).graph.node}
    assert not {operator for operator in operators if operator.startswith("Scatter")}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["adjoint", "level"])
def test_what_is_wrong_is_found(
    graphs: tuple[GraphFile, GraphFile], monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """A shift that is not moved back, and an identity that is none, are not packaged."""
    model = canonicalise(tiny_model())
    image = picture()
    point = Point(image, model_input(image, SPEC), np.eye(1, 3, 1, dtype=np.float32))
    sessions = Sessions({GraphKey("accumulate"): graphs[0]})
    verify_perturbations(graphs[1], sessions, model, SPEC, point)
    if wrong == "adjoint":
        key = (INTERNAL, "Shift", 0)
        right = registry._rules[key]

        def some(op: Op, node: ir.Node, dy: ir.Value) -> Any:
            wide = node.attributes["start"].value != 0 or node.attributes["axis"].value != 2
            return right.rule(op, node, dy) if wide else [op.Mul(dy, 1.0)]

        monkeypatch.setitem(registry._rules, key, registry.Entry(some, elementwise=False))
    else:
        monkeypatch.setattr(perturbation, "_noise_level", lambda op, x, deviation, *_: op.Mul(deviation, 1.5))
    graph, _ = accumulate_graph(model, SPEC, perturbations=True)
    with pytest.raises(VerificationError, match="off by" if wrong == "adjoint" else "identity"):
        verify_perturbations(graph, sessions, model, SPEC, point)


@pytest.mark.slow
def test_a_bundle_may_carry_it(tmp_path: Path) -> None:
    """export --perturbations adds the perturbed graph with its input."""
    onnx.save(tiny_model(), tmp_path / "tiny.onnx")
    assert (
        run(["export", str(tmp_path / "tiny.onnx"), "-o", str(tmp_path / "t.gagrad"), "--perturbations"]) == 0
    )
    bundle = read_bundle(tmp_path / "t.gagrad")
    assert bundle.manifest.variants("accumulate") == ["", "perturbed"]
    session = onnxruntime.InferenceSession(bundle.graph(GraphKey("accumulate", "perturbed", "tensorrt")))
    shapes = {value.name: value.shape for value in session.get_inputs()}
    assert shapes["perturbation"] == ["B", len(COLUMNS)]
