"""Models that were exported for one row, or another fixed number, take any number of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.batch.place import Place, places
from tests.export.source_check import FREE, check_rows, exported, legacy_export, model_of
from tests.long import all_but

HEAD = "s = ReduceMean <keepdims = 0> (r, axes) scores = MatMul (s, head)"


def timm_model(name: str) -> tuple[Any, int]:
    """Return a network of random weights, small in depth and size, and the image size."""
    import timm
    import torch

    torch.manual_seed(0)
    if name == "swin":
        small: dict[str, Any] = {"depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32, "window_size": 7}
        return timm.create_model("swin_tiny_patch4_window7_224", img_size=56, **small), 56
    if name.startswith(("vit", "deit")):
        pool = "avg" if name.endswith("_avg") else "token"
        full = f"{name.removesuffix('_avg')}_tiny_patch16_224"
        return timm.create_model(full, img_size=48, depth=2, global_pool=pool), 48
    if name == "sequencer":
        blocks: dict[str, Any] = {"embed_dims": (16,) * 4, "hidden_sizes": (8,) * 4, "num_classes": 7}
        model = timm.create_model("sequencer2d_s", img_size=64, layers=(1,) * 4, **blocks)
        torch.nn.init.normal_(model.head.fc.weight)
        return model, 64
    return timm.create_model(name), 48


OLDER = ("resnet18", "mobilenetv3_small_100", "vit", "deit", "swin", "sequencer")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="one"),
        pytest.param({"axes": FREE}, id="free"),
        pytest.param({"batch": 4}, id="four", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("name", all_but(OLDER, "mobilenetv3_small_100", "deit", "swin"))
def test_networks_of_the_older_torch_exporter(name: str, how: dict[str, Any]) -> None:
    """Networks by torch's older exporter take any number of rows, with each row's own scores."""
    module, size = timm_model(name)
    canonical = check_rows(legacy_export(module, size, **how))
    assert any("batch" in note for note in canonical.notes) == ("axes" not in how)
    # Nothing is left of the shape arithmetic but the number of rows, where a constant is repeated.
    assert canonical.operators.get("Shape", 0) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    all_but(
        ["resnet18", "mobilenetv3_small_100", "vit_avg", "swin"], "mobilenetv3_small_100", "vit_avg", "swin"
    ),
)
def test_a_network_of_batch_one_is_explained(tmp_path: Path, name: str) -> None:
    """The whole way; the gradient is proven by differences and its rows by running them alone."""
    module, size = timm_model(name)
    bundle = exported(legacy_export(module, size, opset=14), tmp_path)
    assert bundle.manifest.verification.batch_error <= 1e-4


@pytest.mark.slow
def test_attention_with_the_sequence_first() -> None:
    """nn.TransformerEncoderLayer without batch_first: [L, N, C], heads folded into the batch."""
    import torch
    from torch import nn

    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 32, 8, 8)
            self.layer = nn.TransformerEncoderLayer(32, 4, 64, norm_first=True)
            self.head = nn.Linear(32, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.patches(x).flatten(2).permute(2, 0, 1)
            scores: torch.Tensor = self.head(self.layer(tokens).mean(0))
            return scores

    for how in ({}, {"axes": FREE}, {"batch": 2}):
        check_rows(legacy_export(Sequence(), 32, **how))  # type: ignore[arg-type]


BODIES = {
    "one and channels folded": "a = Reshape (image, folded) b = MatMul (a, square) r = Reshape (b, back)",
    "a class token": "a = Reshape (image, tokens) b = Concat <axis = 1> (token, a) r = Reshape (b, deep)",
    "a constant with the rows": "a = Reshape (image, tokens) b = Add (a, rows) r = Reshape (b, back)",
    "a constant per folded row": "a = Reshape (image, folded) b = Mul (a, heads) r = Reshape (b, back)",
    "expanded": "a = ReduceMean (image, axes) b = Expand (a, full) r = Mul (b, image)",
    "tiled": "a = ReduceMean (image, axes) b = Tile (a, repeats) r = Mul (b, image)",
    "the batch in the middle": "a = Transpose <perm = [1, 0, 2, 3]> (image) r0 = Softmax <axis = 0> (a) "
    "r = Transpose <perm = [1, 0, 2, 3]> (r0)",
    "the batch merged in the middle": "a = Transpose <perm = [2, 0, 1, 3]> (image) b = Reshape (a, merged) "
    "c = MatMul (b, square) d = Reshape (c, parted) r = Transpose <perm = [1, 2, 0, 3]> (d)",
    "row 0 taken and put back": "a = Gather <axis = 0> (image, zero) b = Mul (a, chw) "
    "r = Unsqueeze (b, first)",
    "the whole batch sliced": "r = Slice (image, first, one, first)",
    "split, then squeezed": "a, b, c = Split <axis = 1, num_outputs = 3> (image) d = Squeeze (b, second) "
    "e = Softmax (d) f = Unsqueeze (e, second) r = Concat <axis = 1> (a, f, c)",
    "resized to sizes": 'r = Resize <mode = "linear"> (image, , , sizes)',
    "products of two": "a = Transpose <perm = [0, 1, 3, 2]> (image) r = MatMul (image, a)",
    "einsum": 'a = Reshape (image, folded) b = Einsum <equation = "nij,njk->nik"> (a, heads2) '
    "r = Reshape (b, back)",
    "queries in an einsum": 'r = Einsum <equation = "nqc,nchw->nqhw"> (queries, image)',
    "a reshape across the batch": "a = Transpose <perm = [2, 3, 0, 1]> (image) b = Reshape (a, across) "
    "c = Softmax <axis = 1> (b) r = Reshape (c, back)",
    "indices from the image": "a = ArgMax <axis = 1, keepdims = 0> (image) b = Gather (table, a) "
    "c = Transpose <perm = [0, 3, 1, 2]> (b) r = Add (c, image)",
    "elements written": "r = ScatterElements <axis = 3> (image, put, updates)",
    "a region written": "r = ScatterND (image, region, patch)",
    "read at a region": "a = GatherND (image, region) r = Relu (a)",
    "written behind the batch": "a = Transpose <perm = [1, 2, 0, 3]> (image) b = ScatterND (a, lines, fill) "
    "r = Transpose <perm = [2, 0, 1, 3]> (b)",
    "sampled at a constant grid": "r = GridSample (image, grid)",
    "an affine grid": "a = GlobalAveragePool (image) b = Reshape (a, theta) c = Mul (b, skew) "
    "d = AffineGrid (c, target) r = GridSample (image, d)",
    "gathered elements": "i, j = TopK <axis = 3> (image, four) r = GatherElements <axis = 3> (image, j)",
}


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("what", BODIES)
def test_constants_that_hold_the_batch(what: str, rows: int) -> None:
    """Each was made for ``rows`` rows; afterwards any number of rows gives what each gives alone."""
    if what in ("row 0 taken and put back", "a reshape across the batch") and rows > 1:
        pytest.skip("that mixes or drops rows")
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    weights = {
        "axes": np.array([2, 3]),
        "head": floats(4 if what == "a class token" else 3, 2),
        "folded": np.array([rows * 3, 8, 8]),
        "back": np.array([rows, 3, 8, 8]),
        "tokens": np.array([rows, 3, 64]),
        "deep": np.array([rows, 4, 8, 8]),
        "token": np.repeat(floats(1, 1, 64), rows, 0),
        "rows": np.repeat(floats(1, 3, 64), rows, 0),
        "heads": np.tile(floats(3, 1, 8), (rows, 1, 1)),
        "heads2": np.tile(floats(3, 8, 8), (rows, 1, 1)),
        "queries": np.tile(floats(1, 3, 3), (rows, 1, 1)),
        "full": np.array([rows, 3, 8, 8]),
        "repeats": np.array([1, 1, 8, 8]),
        "merged": np.array([8 * rows, 3, 8]),
        "parted": np.array([8, rows, 3, 8]),
        "across": np.array([-1, 6]),
        "square": floats(8, 8),
        "zero": np.array(0),
        "chw": floats(3, 8, 8),
        "first": np.array([0]),
        "one": np.array([rows]),
        "second": np.array([1]),
        "sizes": np.array([rows, 3, 5, 6]),
        "table": floats(3, 3),
        "four": np.array([4]),
        "put": np.tile(np.array([[[[2, 5]]]]), (rows, 3, 8, 1)),
        "updates": np.tile(floats(1, 3, 8, 2), (rows, 1, 1, 1)),
        "region": np.stack(np.meshgrid(range(rows), range(3), range(2, 5), indexing="ij"), -1),
        "patch": np.tile(floats(1, 3, 3, 8), (rows, 1, 1, 1)),
        "lines": np.array([[0, 1], [2, 3]]),
        "fill": np.tile(floats(2, 1, 8), (1, rows, 1)),
        "grid": np.tile(rng.uniform(-1, 1, (1, 5, 5, 2)).astype(np.float32), (rows, 1, 1, 1)),
        "theta": np.array([rows, 1, 3]),
        "skew": floats(2, 1),
        "target": np.array([rows, 3, 5, 5]),
    }
    text = f"(float[{rows}, 3, 8, 8] image) => (float[{rows}, 2] scores) {{ {BODIES[what]} {HEAD} }}"
    check_rows(model_of(text, opset=20, ir_version=9, **weights))


def test_the_steps_of_a_recurrence_joined() -> None:
    """The axis of one step could be the batch's, too: with twenty there are too many ways to try each."""
    steps = " ".join(f"t{i} = Gather <axis = 2> (a, i{i}) u{i} = Unsqueeze (t{i}, first)" for i in range(20))
    joined = ", ".join(f"u{i}" for i in range(20))
    body = f"a = ReduceMean <keepdims = 0> (image, last) {steps} s = Concat <axis = 0> ({joined})"
    tail = "t = Transpose <perm = [1, 0, 2]> (s) scores = Flatten (t)"
    text = f"(float[1, 3, 20, 8] image) => (float[1, 60] scores) {{ {body} {tail} }}"
    indices = {f"i{i}": np.array(i) for i in range(20)}
    check_rows(model_of(text, first=np.array([0]), last=np.array([3]), **indices))


def test_scores_without_their_batch() -> None:
    """A squeezed output ``[K]`` is one row; its batch comes back in front."""
    text = (
        "(float[1, 3, 8, 8] image) => (float[3] scores) { m = ReduceMean (image, axes) scores = Squeeze (m) }"
    )
    assert check_rows(model_of(text, axes=np.array([2, 3]))).score_shape == (3,)


def test_computing_across_rows_is_refused() -> None:
    """Node, operator and shapes are named: such a model has no gradient per perturbed copy."""
    text = (
        "(float[4, 3, 8, 8] image) => (float[4, 3, 8, 8] scores) "
        "{ [mixes] m = ReduceMean (image, axes) scores = Sub (image, m) }"
    )
    with pytest.raises(ModelError, match=r"mixes.*ReduceMean.*rows"):
        check_rows(model_of(text, axes=np.array([0])))


def test_constants_that_differ_from_row_to_row_are_refused() -> None:
    """A constant that differs between rows raises ModelError with its name."""
    text = "(float[2, 3, 8, 8] image) => (float[2, 3, 8, 8] scores) { scores = Add (image, k) }"
    with pytest.raises(ModelError, match="'k' differs between the 2 rows"):
        check_rows(model_of(text, k=np.arange(2, dtype=np.float32).reshape(2, 1, 1, 1)))


@pytest.mark.parametrize(
    ("shape", "outer", "size", "expected"),
    [
        ([1, 3, 8, 8], 1, 1, [Place(0), Place(1, 1, 3)]),
        ([12, 17, 64], 1, 1, [Place(0, 1, 12)]),
        ([17, 192], 17, 1, [Place(1, 1, 192), Place(0, 17, 1)]),
        ([17, 1, 192], 17, 1, [Place(1), Place(2, 1, 192), Place(0, 17, 1)]),
        ([8, 24], 4, 2, [Place(0, 4, 1)]),
        ([6, 4], 4, 1, []),
    ],
)
def test_where_a_batch_can_lie(shape: list[int], outer: int, size: int, expected: list[Place]) -> None:
    """In order of preference: alone, outermost, innermost."""
    assert places(shape, outer, size) == expected
