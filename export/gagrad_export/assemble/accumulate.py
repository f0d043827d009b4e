"""``accumulate``: one chunk of perturbed copies → their input gradients → the running statistics.

The state is three maps and a count, so memory does not grow with the number of samples; the outputs of one
run are the inputs of the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import ModelError
from gagrad_edge.method.perturbation import COLUMNS
from gagrad_export.assemble.graph import add_input, finish, insert_model, new_graph
from gagrad_export.assemble.half import Region
from gagrad_export.assemble.perturbation import perturbed
from gagrad_export.assemble.predict import normalised
from gagrad_export.differentiate import gradients
from gagrad_export.emit import static_shape
from gagrad_export.lower import lower

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.manifest import GraphPrecision, GraphTarget, InputSpec
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.emit import Op


HALF_SCALE = 2.0**8
"""What the cotangent is multiplied by in half, and the gradient divided by in float32.

A gradient that half flushes to zero (2⁻¹⁶ of a cotangent of 1 does it) is lost; scales from 1 to 2¹⁴ give the
same gradient, and this one leaves room on both sides.
"""


def accumulate_graph(
    model: Canonical,
    spec: InputSpec,
    target: GraphTarget = "portable",
    *,
    perturbations: bool = False,
    precision: GraphPrecision = "float32",
) -> tuple[bytes, dict[str, int]]:
    """Return the ONNX bytes of ``accumulate`` in the forms of ``target``, and what was lowered, by name.

    In ``float16`` the model and its gradient are, from the noisy copies on; the statistics are not. With
    perturbations there is float32 only.

    With ``perturbations`` there is one more input, ``perturbation [B, P]``, whose columns are those of
    ``gagrad_edge.method.perturbation``; the gradient is that at the model input before them.

    Raises UnsupportedOperatorError and ModelError.
    """
    op = new_graph("accumulate", model.opset)
    region = Region(op, precision)
    shape = model.input_shape
    image = add_input(op, "image", [1, *shape])
    noise = add_input(op, "noise", ["B", *shape])
    noise_std = add_input(op, "noise_std", [])
    cotangent = add_input(op, "cotangent", [1, *model.score_shape])
    count = add_input(op, "count", [])
    abs_sum, mean, m2 = (add_input(op, name, shape) for name in ("abs_sum", "mean", "m2"))

    x = normalised(op, image, spec)
    spread = op.Sub(op.ReduceMax(x, keepdims=0), op.ReduceMin(x, keepdims=0))
    deviation = op.Mul(noise_std, spread)
    if perturbations:
        perturbation = add_input(op, "perturbation", ["B", len(COLUMNS)])
        origin, samples = perturbed(op, x, noise, deviation, perturbation, spec)
    else:
        origin = samples = region.enter(op.Add(x, op.Mul(noise, deviation)))
    scores = insert_model(op, model, samples)
    op.graph.sort()
    seeds = per_sample(op, cotangent, noise)
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
    state = merge(op, gradient, count, abs_sum, mean, m2)
    # Half has no 2¹⁰⁰ for the steps of the portable masks; TensorRT's are comparisons, which run anywhere.
    lowered = lower(op, target if precision == "float32" else "tensorrt")
    region.convert()
    return finish(op, {**state, "scores": scores}), lowered


def per_sample(op: Op, cotangent: ir.Value, noise: ir.Value) -> ir.Value:
    """Return ``cotangent [1, K…]`` once for each sample: ``[B, K…]``.

    By adding one zero per sample, taken from the noise, and not by Expand to a computed shape: so an engine
    can tell at load time that the batch of the backward pass is that of the forward pass. ONNX Runtime keeps
    its blocked layout between the two only then.
    """
    rank = len(static_shape(cotangent))
    zero = op.Mul(op.Slice(noise, [0, 0, 0], [1, 1, 1], [1, 2, 3]), 0.0)
    return op.Add(cotangent, op.Reshape(zero, [0] + [1] * (rank - 1)))


def merge(
    op: Op, gradient: ir.Value, count: ir.Value, abs_sum: ir.Value, mean: ir.Value, m2: ir.Value
) -> dict[str, ir.Value]:
    """Return the state after a chunk of gradients ``[B, C, H, W]``, by Chan's pairwise update.

    δ = mean_B − mean;  mean′ = mean + δ·B/n′;  M₂′ = M₂ + M₂_B + δ²·n·B/n′, with n′ = n + B. A plain sum of
    squares would cancel badly in float32.
    """
    rows = op.Cast(op.Squeeze(op.Shape(gradient, start=0, end=1), [0]), to=1)
    total = op.Add(count, rows)
    share = op.Div(rows, total)
    chunk_mean = op.ReduceMean(gradient, [0], keepdims=0)
    deviation = op.Sub(gradient, chunk_mean)
    chunk_m2 = op.ReduceSum(op.Mul(deviation, deviation), [0], keepdims=0)
    delta = op.Sub(chunk_mean, mean)
    between = op.Mul(op.Mul(delta, delta), op.Mul(count, share))
    return {
        "count_out": total,
        "abs_sum_out": op.Add(abs_sum, op.ReduceSum(op.Abs(gradient), [0], keepdims=0)),
        "mean_out": op.Add(mean, op.Mul(delta, share)),
        "m2_out": op.Add(m2, op.Add(chunk_m2, between)),
    }
