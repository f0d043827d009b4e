"""Several inputs and outputs: chosen, fixed or ignored, and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_edge.errors import ModelError, SettingError
from gagrad_export import InputOptions, OutputOptions
from gagrad_export.canonicalise import canonicalise
from tests.export.source_check import check_rows, exported, model_of

WEIGHTS = {
    "w": np.random.default_rng(0).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32),
    "axes": np.array([2, 3]),
}
TWO_INPUTS = model_of(
    "(float[N, 4] gain, float[N, 3, 12, 12] photo, int64[N, 2] unused, float shift) "
    "=> (float[N, 4] scores, float[N, 4] aux) {"
    "c = Conv (photo, w) m = ReduceMean <keepdims = 0> (c, axes) k = Mul (m, gain) scores = Add (k, shift) "
    "u = Cast <to = 1> (unused) v = ReduceMax <keepdims = 1> (u) aux = Add (m, v) }",
    **WEIGHTS,
)


@pytest.mark.slow
def test_the_only_image_among_the_inputs(tmp_path: Path) -> None:
    """It is found and said; the others are constants, or are not needed for this output."""
    fixed = {"gain": [1.0, 2.0, 3.0, 4.0], "shift": 0.5}
    canonical = check_rows(TWO_INPUTS, output_name="scores", fixed=fixed)
    said = " | ".join(canonical.notes)
    for words in (
        "input photo is the image",
        "output aux is ignored",
        "input gain is fixed at 1 2 3 4",
        "input unused is not needed",
        "input shift is fixed at 0.5",
    ):
        assert words in said
    inputs, outputs = InputOptions(fixed=fixed), OutputOptions(output_name="scores")
    exported(TWO_INPUTS, tmp_path, inputs=inputs, outputs=outputs)


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number, numbers with commas, an .npy file; what was not given is asked for by name."""
    onnx.save(TWO_INPUTS, tmp_path / "m.onnx")
    np.save(tmp_path / "gain.npy", np.ones((1, 4)))
    command = [
        "export",
        str(tmp_path / "m.onnx"),
        "-o",
        str(tmp_path / "m.gagrad"),
        "--output-name",
        "scores",
    ]
    assert run(command) == 4
    assert "--fix gain=VALUE --fix shift=VALUE" in capsys.readouterr().err
    assert run([*command, "--fix", f"gain={tmp_path / 'gain.npy'}", "--fix", "shift=1e-1"]) == 0
    assert "input unused is not needed" in capsys.readouterr().err
    assert run([*command, "--fix", "gain=1,2,3,4", "--fix", "shift=0"]) == 0
    assert any("shift" in note for note in read_bundle(tmp_path / "m.gagrad").manifest.model.notes)
    for wrong in ("gain", "gain=", "gain=one", "gain=gone.npy", "=3"):
        assert run([*command, "--fix", wrong]) == 2
        assert "NAME=VALUE" in capsys.readouterr().err


def test_values_that_do_not_fit() -> None:
    """A fixed value of another shape, or for an unknown input, raises SettingError."""
    with pytest.raises(SettingError, match="does not fit the input gain"):
        canonicalise(TWO_INPUTS, output_name="scores", fixed={"gain": [1.0, 2.0], "shift": 0})
    with pytest.raises(SettingError, match=r"no input 'mask'.*\n.*gain, unused, shift"):
        canonicalise(TWO_INPUTS, output_name="scores", fixed={"mask": 1})


def test_several_of_a_kind_are_chosen_by_name() -> None:
    """Two images or two outputs: the choices are listed."""
    two = model_of(
        "(float[N, 3, 8, 8] left, float[N, 3, 8, 8] right) => (float[N, 3, 8, 8] a, float[N, 3, 8, 8] b) "
        "{ a = Add (left, right) b = Relu (a) }"
    )
    with pytest.raises(ModelError, match=r"`input_name`(?s:.*)left, right"):
        canonicalise(two)
    with pytest.raises(ModelError, match=r"`output_name`(?s:.*)a, b"):
        canonicalise(two, input_name="left")
    other = np.ones((3, 8, 8), np.float32)
    assert check_rows(two, input_name="left", output_name="a", fixed={"right": other}).operators == {"Add": 1}


def test_a_fixed_input_may_follow_the_rows() -> None:
    """A prompt for the fixed number of rows is repeated for every perturbed copy."""
    prompt = model_of(
        "(float[1, 3, 8, 8] image, float[1, 1, 8, 8] prompt) => (float[1, 4, 8, 8] scores) "
        "{ scores = Concat <axis = 1> (image, prompt) }"
    )
    check_rows(prompt, fixed={"prompt": 0.25})


@pytest.mark.parametrize(
    "head", ["label = ArgMax <axis = 1, keepdims = 0> (probs)", "best, label = TopK (probs, k)"]
)
def test_an_index_has_no_gradient(head: str) -> None:
    """The float value in front of it is named, as it is to be asked for."""
    proto = model_of(
        "(float[N, 3, 12, 12] image) => (int64[N, A] label) { c = Conv (image, w) "
        f"m = ReduceMean <keepdims = 0> (c, axes) probs = Softmax (m) {head} }}",
        k=np.array([1]),
        **WEIGHTS,
    )
    if "ArgMax" in head:
        proto.graph.output[0].type.tensor_type.shape.dim.pop()
    with pytest.raises(ModelError, match=r"INT64(?s:.*)`output_name=probs`"):
        canonicalise(proto)
    assert check_rows(proto, output_name="probs").tail == "softmax"


def test_an_index_beside_the_scores_is_no_choice() -> None:
    """Where one output is floating point and the others are indices, it is taken, and the notes say so."""
    labelled = model_of(
        "(float[N, 3, 12, 12] image) => (int64[N] label, float[N, 4] probs) { c = Conv (image, w) "
        "m = ReduceMean <axes = [2, 3], keepdims = 0> (c) probs = Softmax (m) "
        "label = ArgMax <axis = 1, keepdims = 0> (probs) }",
        opset=17,  # the conversion to 18 forgets the outputs' types
        w=WEIGHTS["w"],
    )
    found = check_rows(labelled)
    assert (found.source_output.name, found.tail) == ("probs", "softmax")
    assert any("probs has the scores" in note for note in found.notes)
