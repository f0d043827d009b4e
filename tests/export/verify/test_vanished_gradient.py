"""A gradient that is zero, or no number, at every verification image is refused: nothing there to explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from gagrad_edge.errors import VerificationError
from gagrad_export import export
from tests.export.source_check import model_of

HEAD = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)


def export_scores(folder: Path, body: str, head: np.ndarray = HEAD) -> Path:
    """Export a classifier whose features ``f [N, 3, 8, 8]`` ``body`` computes from the image."""
    text = f"""(float[N, 3, 8, 8] image) => (float[N, 2] y) <float far = {{100}}, float none = {{0}}> {{
        {body} p = GlobalAveragePool (f) v = Flatten (p) y = MatMul (v, head)
    }}"""
    onnx.save(model_of(text, head=head), folder / "m.onnx")
    export(folder / "m.onnx", folder / "m.gagrad")
    return folder / "m.gagrad"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "head"),
    [
        ("f = Relu (image)", np.zeros_like(HEAD)),
        ("s = Sub (image, far) f = Relu (s)", HEAD),
        ("r = Add (image, far) s = Add (r, far) f = Clip (s, none, far)", HEAD),
    ],
    ids=["a head of zeros", "every activation off", "behind a limit"],
)
def test_a_gradient_of_zeros_is_refused(tmp_path: Path, body: str, head: np.ndarray) -> None:
    """Zeros agree with a reference of zeros to the last digit, and would be packaged as an explanation."""
    with pytest.raises(VerificationError, match=r"gradient of zero.*20 noisy samples.*\n.*`output_name`"):
        export_scores(tmp_path, body, head)
    assert not (tmp_path / "m.gagrad").exists()


@pytest.mark.slow
def test_a_gradient_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """√ has an infinite slope at 0, and ∞·0 is NaN."""
    with pytest.raises(VerificationError, match="not finite"):
        export_scores(tmp_path, "z = Mul (image, none) f = Sqrt (z)")


@pytest.mark.slow
def test_a_gradient_whose_variance_overflows_is_refused(tmp_path: Path) -> None:
    """Of 1e25 the square is no float32: said so, before the map comes out as NaN."""
    with pytest.raises(VerificationError, match=r"as large as \de\+2\d.*variance"):
        export_scores(tmp_path, "r = Mul (image, image) f = Mul (r, image)", HEAD * np.float32(1e25))


@pytest.mark.slow
def test_one_live_activation_is_enough(tmp_path: Path) -> None:
    """Only what is zero for every copy is refused."""
    assert export_scores(tmp_path, "k = Max (image, none) s = Sub (k, none) f = Relu (s)").exists()
