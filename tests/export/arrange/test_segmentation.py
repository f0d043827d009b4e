from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export.arrange import Wishes
from gagrad_export.arrange.segmentation import background_of, find_segmentation, require_mask
from tests.export.arrange.models import model, probe

HALF = "h = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a)\n"


@pytest.mark.parametrize(
    ("outputs", "body"),
    [
        ("float[N, 4, 16, 16] out, float[N, 4, 16, 16] aux", "out = Identity (a)\n aux = Neg (a)"),
        ("float[N, 4, 8, 8] aux, float[N, 4, 16, 16] out", HALF + "aux = Identity (h)\n out = Identity (a)"),
        (
            "float[N, 4, 16, 16] out, int64[N, 1, 16, 16] best",
            "out = Identity (a)\n best = ArgMax <axis = 1> (a)",
        ),
    ],
)
def test_the_map_is_chosen_beside_auxiliary_ones(outputs: str, body: str) -> None:
    """Of a map, an auxiliary head and the chosen classes, the map of the largest size is explained."""
    found = find_segmentation(probe(model(outputs, body)), Wishes())
    assert found is not None
    assert (found.output_name, found.task) == ("out", "segmentation")
    assert "16×16 places" in found.evidence


@pytest.mark.parametrize(
    ("outputs", "body"),
    [
        ("float[N, 4, 16, 16] mask", "mask = Softmax <axis = 1> (a)"),  # the only output tells by itself
        (
            "float[N, 4, 8, 8] p3, float[N, 4, 4, 4] p4",  # a detector's heads
            HALF + "p3 = Identity (h)\n p4 = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (h)",
        ),
        (
            "float[N, 4, 16, 16] heat, float[N, 2, 16, 16] offset",  # CenterNet
            "heat = Sigmoid (a)\n offset = Slice (a, s, e, ax)",
        ),
        (
            "float[N, 64, 16] detections, float[N, 4, 16, 16] prototypes",  # YOLO with masks
            "detections = Reshape (a, flat)\n prototypes = Relu (a)",
        ),
        ("float[N, 1, 16, 16] one, float[N, 1, 16, 16] two", "one = ReduceMean (a, ax)\n two = Neg (one)"),
    ],
)
def test_models_of_other_tasks_are_left_alone(outputs: str, body: str) -> None:
    """Heads of detectors at several levels, other maps, prototypes and plain maps are no segmenter's."""
    proto = model(
        outputs, body, s=np.array([0]), e=np.array([2]), ax=np.array([1]), flat=np.array([-1, 64, 16])
    )
    assert find_segmentation(probe(proto), Wishes()) is None


QUERIES = """
    masks_queries_logits = Conv <kernel_shape = [1, 1]> (a, five)
    p = GlobalAveragePool (a)
    q = Reshape (p, row)
    class_queries_logits = MatMul (each, q)
"""


def test_queries_with_a_class_and_a_mask_are_a_map() -> None:
    """As transformers computes it: the sum over the queries of the class's probability times the mask's."""
    rng = np.random.default_rng(2)
    constants = {
        "five": rng.normal(size=(5, 4, 1, 1)).astype(np.float32),
        "row": np.array([-1, 1, 4]),
        "each": rng.normal(size=(1, 5, 1)).astype(np.float32),
    }
    outputs = "float[N, 5, 4] class_queries_logits, float[N, 5, 16, 16] masks_queries_logits"
    given = model(outputs, QUERIES, **constants)
    shown = probe(given)
    found = find_segmentation(shown, Wishes())
    assert found is not None
    assert (found.task, found.shown_name) == ("segmentation", "masks_queries_logits")
    assert "5 queries with a class of 3" in found.evidence
    exponents = np.exp(shown.outputs["class_queries_logits"].astype(np.float64))
    classes = (exponents / exponents.sum(axis=2, keepdims=True))[..., :3]
    masks = 1 / (1 + np.exp(-shown.outputs["masks_queries_logits"].astype(np.float64)))
    areas = np.einsum("fqk,fqhw->fkhw", classes, masks)
    made = shown.run(found.model)[str(found.output_name)][:, 0]
    np.testing.assert_allclose(made, areas / areas.sum(axis=1, keepdims=True), atol=1e-5)


def test_without_a_map_the_task_is_refused() -> None:
    """``task=segmentation`` on a model without a map of class scores lists the outputs."""
    proto = model(
        "float[N, 4] one, float[N, 4] two",
        "one = ReduceMean <keepdims = 0> (a, p)\n two = Neg (one)",
        p=np.array([2, 3]),
    )
    with pytest.raises(ModelError, match="no output of the model is a map"):
        find_segmentation(probe(proto), Wishes(task="segmentation"))


@pytest.mark.parametrize(
    "name", ["background", "Background", "bg", "_background_", "ok", "OK", "No defect", "void"]
)
def test_the_background_is_found_by_its_name(name: str) -> None:
    """A class with a usual name for nothing is the background, wherever it stands, and that is said."""
    background, why = background_of(["scratch", name], 2, "softmax", None)
    assert background == 1
    assert repr(name) in why


@pytest.mark.parametrize(
    ("names", "classes", "activation", "background", "said"),
    [
        (["scratch", "dent", "okay-ish"], 3, "softmax", None, "no class is taken for background"),
        (["ok", "background", "dent"], 3, "softmax", None, "all have such a name"),
        ([], 4, "softmax", None, "as none has a name"),
        ([], 2, "softmax", 0, "ASSUMED"),
        ([], 1, "sigmoid", None, "where no class is"),
        ([], 3, "sigmoid", None, "where no class is"),
        (["scratch", "bg"], 2, "sigmoid", 1, "by its name"),
    ],
)
def test_without_such_a_name_nothing_is_decided_in_silence(
    names: list[str], classes: int, activation: str, background: int | None, said: str
) -> None:
    """What was decided, or not, is a clause for the user in every case."""
    found, why = background_of(names, classes, activation, None)  # type: ignore[arg-type]
    assert found == background
    assert said in why


@pytest.mark.parametrize(
    ("asked", "background"), [(1, 1), ("1", 1), ("dent", 1), ("none", None), ("None", None)]
)
def test_the_user_says_the_background(asked: str | int, background: int | None) -> None:
    """A number, a name and ``none`` are taken; anything else is refused with the choices."""
    assert background_of(["ok", "dent"], 2, "softmax", asked)[0] == background
    with pytest.raises(SettingError, match="there is no class '2'"):
        background_of(["ok", "dent"], 2, "softmax", 2)


def test_a_map_of_plain_values_is_no_mask() -> None:
    """One score at each place without an activation is a mask only where the values are probabilities."""
    require_mask((1, 2, 2), "none", lambda: np.array([0, 0.3, 1], np.float32))
    require_mask((2, 2, 2), "none", lambda: np.array([-9, 9], np.float32))
    with pytest.raises(SettingError, match="nothing tells from which value"):
        require_mask((1, 2, 2), "none", lambda: np.array([-1, 0.3], np.float32))
