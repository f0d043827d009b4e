"""Float16 graphs against float32 at 224²: gradient, predicted class, map, and the used range of float16.

python -m benchmarks.precision        (about three minutes; writes docs/precision.md)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.networks import SIZE, subject
from benchmarks.table import machine, markdown, publish
from gagrad_edge import abi
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.reference import State, finalize
from gagrad_export.assemble import accumulate_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.verify.agreement import cosine, map_correlation
from gagrad_export.verify.frame import frame_image, reference_frame
from gagrad_export.verify.half import CORRELATION, COSINE, emulated
from gagrad_export.verify.sessions import Sessions, open_session

if TYPE_CHECKING:
    from gagrad_edge.bundle.graph_file import GraphFile

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
NETWORKS = ("efficientnet_lite0", "demo", "resnet18", "mobilenet_v3_large", "convnext_atto", "vit_tiny")
SAMPLES, CHUNK, NOISE_STD, PERCENTILE = 20, 5, 0.15, 0.85
INTRODUCTION = """# Float16 against float32

`gagrad-edge export --precision fp16` writes the model and its gradient as a typed float16 graph beside the float32
graph ([ADR 14](adr/0014-half-precision.md)). Here both graphs explain a photograph (the coffee cup of the golden vectors, 224²; for
the demo model its reference frame) with the same {samples} samples. Float16 is emulated on the CPU: every operator
computes in float32 and every result is rounded to float16, as on a GPU that accumulates in float32. No GPU was used.

- **cosine** of the mean gradients, and **rank correlation** (Spearman) of the saliency maps, float16 against float32. At export they
  must be at least {cosine} and {correlation} on the reference frame, or no bundle is written.
- **other seed**: the same two figures for two float32 explanations with different noise, for comparison.
- **top 1**: for how many samples both graphs give the same class.
- **largest**: the largest magnitude of any float16 value (65504 is the largest possible), with the cotangent scaled by 2⁸. **flushed**: the share
  of non-zero values that became zero in float16 (below 3·10⁻⁸).

EfficientNet-Lite0 (ImageNet) and the demo model have trained weights. The other networks have random weights, and the statistics of
their batch norms are set on noise: without that, MobileNetV3's gradient is below 10⁻¹², which float16 cannot represent.

Reproduce: `python -m benchmarks.precision`. {machine}

"""


def main() -> None:
    """Measure and publish."""
    rows = [_row(name) for name in NETWORKS]
    header = ("network", "cosine", "rank correlation", "other seed", "top 1", "largest", "flushed")
    text = INTRODUCTION.format(
        samples=SAMPLES, cosine=COSINE, correlation=CORRELATION, machine=machine("onnxruntime")
    )
    publish("precision", text + markdown(header, rows))


def _row(name: str) -> tuple[object, ...]:
    made = subject(name, calibrated=True)
    model = canonicalise(made.model, size=None if name == "demo" else SIZE)
    channels, height, width = model.input_shape
    plain = name == "demo"
    spec = InputSpec(
        height=height,
        width=width,
        colour="mono" if channels == 1 else "rgb",
        mean=[0.0] * channels if plain else [0.485, 0.456, 0.406],
        std=[1.0] * channels if plain else [0.229, 0.224, 0.225],
    )
    if plain:
        image = frame_image(reference_frame(height, width, channels), colour=spec.colour)
    else:
        with np.load(GOLDEN / "lite0_coffee.npz") as vectors:
            pixels = np.ascontiguousarray(vectors["image"].transpose(2, 0, 1)[None]).astype(np.float32)
        image = pixels / np.float32(255)
    single = accumulate_graph(model, spec)[0]
    half = emulated(accumulate_graph(model, spec, precision="float16")[0])
    cotangent = np.zeros((1, *model.score_shape), np.float32)
    _, scores = _run(single, image, cotangent, 0, 1)
    cotangent[0, int(scores.mean(0).argmax())] = 1
    expected, answers = _run(single, image, cotangent, 0)
    other, _ = _run(single, image, cotangent, 1)
    found, rounded = _run(half, image, cotangent, 0)
    maps = [finalize(state, PERCENTILE) for state in (expected, found, other)]
    same = int((answers.argmax(1) == rounded.argmax(1)).sum())
    largest, flushed = _range_used(half, image, cotangent)
    return (
        name,
        f"{cosine(found.mean, expected.mean):.4f}",
        f"{map_correlation(maps[1], maps[0]):.4f}",
        f"{cosine(other.mean, expected.mean):.2f}, {map_correlation(maps[2], maps[0]):.2f}",
        f"{same} of {SAMPLES}",
        f"{largest:.0f}",
        f"{flushed:.1%}",
    )


def _run(
    file: GraphFile, image: np.ndarray, cotangent: np.ndarray, seed: int, samples: int = SAMPLES
) -> tuple[State, np.ndarray]:
    sessions = Sessions({GraphKey("accumulate"): file})
    state, scores = State.empty(image.shape[1:]), []
    for noise in noise_chunks(seed, samples, CHUNK, image.shape[1:]):
        state, part = sessions.accumulate(image, noise, NOISE_STD, cotangent, state)
        scores.append(part)
    return state, np.concatenate(scores)


def _range_used(file: GraphFile, image: np.ndarray, cotangent: np.ndarray) -> tuple[float, float]:
    """Return the largest magnitude before rounding to float16, and the share of non-zero values rounded to zero."""
    model = onnx.load_from_string(file.complete())
    graph = model.graph
    names: list[str] = []
    casts = [node for node in graph.node if node.op_type == "Cast" and node.attribute[0].i == 10]
    # The padding around a max pooling stands for minus infinity: it is not a value of the network.
    graph.initializer.extend(
        helper.make_tensor(f"used/{name}", TensorProto.FLOAT, [], [number])
        for name, number in (("bound", 65504.0), ("zero", 0.0))
    )
    for index, cast in enumerate(casts):
        for kind, value in (("before", cast.input[0]), ("after", cast.output[0])):
            found = f"used/{kind}{index}"
            graph.node.extend(
                [
                    helper.make_node("Cast", [value], [f"{found}/is"], to=TensorProto.BOOL),
                    helper.make_node("Cast", [f"{found}/is"], [f"{found}/one"], to=TensorProto.FLOAT),
                    helper.make_node("ReduceSum", [f"{found}/one"], [found], keepdims=0),
                ]
            )
        top = f"used/largest{index}"
        graph.node.extend(
            [
                helper.make_node("Abs", [cast.input[0]], [f"{top}/abs"]),
                helper.make_node("Less", [f"{top}/abs", "used/bound"], [f"{top}/inside"]),
                helper.make_node("Where", [f"{top}/inside", f"{top}/abs", "used/zero"], [f"{top}/value"]),
                helper.make_node("ReduceMax", [f"{top}/value"], [top], keepdims=0),
            ]
        )
        names += [top, f"used/before{index}", f"used/after{index}"]
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in names)
    session = open_session(model.SerializeToString(), "the observed graph")
    shape = image.shape[1:]
    (noise,) = noise_chunks(0, 1, 1, shape)
    state = {name: np.zeros(shape, np.float32) for name in (abi.ABS_SUM, abi.MEAN, abi.M2)}
    feeds = {abi.IMAGE: image, abi.NOISE: noise, abi.COTANGENT: cotangent, abi.COUNT: np.float32(0), **state}
    feeds[abi.NOISE_STD] = np.float32(NOISE_STD)
    values = np.array(session.run(names, {key: np.asarray(value) for key, value in feeds.items()}))
    largest, before, after = values.reshape(-1, 3).T
    return float(largest.max()), float(1 - after.sum() / before.sum())


if __name__ == "__main__":
    main()
