"""What in a model explains that numbers differ, where that is the model's or the engine's doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.load.training_mode import batch_statistics, nodes

if TYPE_CHECKING:
    import onnx


_RANDOM = (
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("Bernoulli", "Multinomial"),
)


def known_cause(model: onnx.ModelProto) -> str | None:
    """Return how to mend what is known of the model's operators; None where nothing is known."""
    training = batch_statistics(model)
    if training is not None:
        return (
            f"BatchNormalization {training!r} of the model is in training mode: its answer depends "
            "on the other images of the batch; export the model after model.eval()"
        )
    for node in nodes(model.graph):
        where = f"{node.op_type} {node.name or node.output[0]!r} of the model"
        if node.op_type in _RANDOM:
            return (
                f"{where} draws random numbers: the model answers the same image differently each "
                "time (dropout that is left on?); export the model after model.eval(), without sampling"
            )
        nearest = any(each.name == "mode" and each.s == b"nearest" for each in node.attribute)
        if node.op_type in ("Resize", "Upsample") and nearest:
            return (
                f"{where} samples the nearest pixel: where two are equally near, engines differ, "
                "which is no defect of the gradient; resize by a whole factor, or by linear sampling"
            )
        if node.op_type in ("TopK", "ArgMax", "ArgMin"):
            return (
                f"{where} chooses by order: where values are equal or nearly so, rounding decides what it "
                "chooses, and the gradient follows another choice; explain a value in front of it, named "
                "with `output_name`"
            )
    return None
