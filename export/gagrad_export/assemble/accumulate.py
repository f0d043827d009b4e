"""``accumulate``: one chunk of samples → their input gradients → the running statistics.

The state is three maps and a count, so memory does not grow with the number of samples; the outputs of one
run are the inputs of the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge import abi
from gagrad_edge.abi import Sizes
from gagrad_edge.errors import ModelError
from gagrad_export.assemble.graph import finish_graph, insert_model, start_graph
from gagrad_export.assemble.half import PrecisionRegion
from gagrad_export.assemble.perturbation import perturbed
from gagrad_export.assemble.predict import normalised
from gagrad_export.differentiate import gradients
from gagrad_export.emit import static_shape
from gagrad_export.lower import lower

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import GraphPrecision, GraphTarget
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.emit import Op


HALF_SCALE = 2.0**8
"""Factor on the cotangent in float16, divided out of the gradient again in float32.

A gradient that float16 flushes to zero (2⁻¹⁶ of a cotangent of 1 is enough) is lost. Factors from 1 to 2¹⁴
give the same gradient; 2⁸ leaves a margin on both sides.
"""


def accumulate_graph(
    model: Canonical,
    spec: InputSpec,
    target: GraphTarget = "portable",
    *,
    perturbations: bool = False,
    precision: GraphPrecision = "float32",
) -> tuple[GraphFile, dict[str, int]]:
    """Return the graph ``accumulate`` in the forms of ``target``, and what was lowered, by name.

    With ``precision`` float16 the model and its gradient compute in float16, from the noisy samples on; the
    statistics stay float32.

    With ``perturbations`` it is the variant ``perturbed``, in float32 only: one more input has a row of
    ``gagrad_edge.method.perturbation.COLUMNS`` for each sample, and the gradient is that at the model input
    before it is perturbed.

    Raises UnsupportedOperatorError and ModelError.
    """
    sizes, variant = Sizes(model.input_shape, model.score_shape), abi.PERTURBED if perturbations else ""
    op, inputs = start_graph("accumulate", sizes, variant=variant, opset=model.opset)
    region = PrecisionRegion(op, precision)
    noise = inputs[abi.NOISE]

    x = normalised(op, inputs[abi.IMAGE], spec)
    spread = op.Sub(op.ReduceMax(x, keepdims=0), op.ReduceMin(x, keepdims=0))
    deviation = op.Mul(inputs[abi.NOISE_STD], spread)
    if perturbations:
        origin, samples = perturbed(op, x, noise, deviation, inputs[abi.PERTURBATION], spec)
    else:
        origin = samples = region.enter(op.Add(x, op.Mul(noise, deviation)))
    scores = insert_model(op, model, samples)
    op.graph.sort()
    seeds = per_sample(op, inputs[abi.COTANGENT], noise)
    if precision == "float16":
        seeds = region.enter(op.Mul(seeds, HALF_SCALE))
    (gradient,) = gradients(op, {scores: seeds}, [origin])
    if gradient is None:
        raise ModelError(
            "the score does not depend on the image, so there is nothing to explain",
            hint="choose another output with `output_name`",
        )
    gradient, scores = region.leave(gradient), region.leave(scores)
    if precision == "float16":
        gradient = op.Mul(gradient, 1 / HALF_SCALE)
    state = merge(op, gradient, {name: inputs[name] for name in abi.STATE})
    # The portable masks multiply by 2¹⁰⁰, which float16 lacks; TensorRT's compare, which runs anywhere.
    lowered = lower(op, target if precision == "float32" else "tensorrt")
    region.convert()
    outputs = {**state, abi.SCORES: scores}
    return finish_graph(op, "accumulate", sizes, outputs, variant=variant), lowered


def per_sample(op: Op, cotangent: ir.Value, samples: ir.Value) -> ir.Value:
    """Return ``cotangent [1, K…]`` once for each sample: ``[B, K…]``.

    By adding one zero per sample, taken from ``samples [B, …]``, and not by Expand to a computed shape: so
    an engine can tell at load time that the batch of the backward pass is that of the forward pass. ONNX
    Runtime keeps its blocked layout between the two only then.
    """
    rank, further = len(static_shape(cotangent)), len(samples.shape or ()) - 1
    first = op.Slice(samples, [0] * further, [1] * further, list(range(1, further + 1)))
    zero = op.Mul(first, 0.0)
    return op.Add(cotangent, op.Reshape(zero, [0] + [1] * (rank - 1)))


def merge(op: Op, gradient: ir.Value, state: dict[str, ir.Value]) -> dict[str, ir.Value]:
    """Return ``state`` after a chunk of gradients ``[B, C, H, W]``, by Chan's pairwise update.

    δ = mean_B − mean;  mean′ = mean + δ·B/n′;  M₂′ = M₂ + M₂_B + δ²·n·B/n′, with n′ = n + B. A plain sum of
    squares would cancel badly in float32.
    """
    count, mean = state[abi.COUNT], state[abi.MEAN]
    samples = op.Cast(op.Squeeze(op.Shape(gradient, start=0, end=1), [0]), to=1)
    total = op.Add(count, samples)
    share = op.Div(samples, total)
    chunk_mean = op.ReduceMean(gradient, [0], keepdims=0)
    deviation = op.Sub(gradient, chunk_mean)
    chunk_m2 = op.ReduceSum(op.Mul(deviation, deviation), [0], keepdims=0)
    delta = op.Sub(chunk_mean, mean)
    between = op.Mul(op.Mul(delta, delta), op.Mul(count, share))
    return {
        abi.STATE_OUT[abi.COUNT]: total,
        abi.STATE_OUT[abi.ABS_SUM]: op.Add(
            state[abi.ABS_SUM], op.ReduceSum(op.Abs(gradient), [0], keepdims=0)
        ),
        abi.STATE_OUT[abi.MEAN]: op.Add(mean, op.Mul(delta, share)),
        abi.STATE_OUT[abi.M2]: op.Add(state[abi.M2], op.Add(chunk_m2, between)),
    }
