"""``gagrad-edge export`` as its user meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_edge.manifest import GraphKey
from tests.models import tiny_model

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(tiny_model(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def export(model: Path | str, out: Path, *options: str) -> int:
    return run(["export", str(model), "-o", str(out), *options])


@pytest.mark.slow
def test_it_says_what_it_did(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """export prints what it did and verified, and the manifest holds the settings."""
    (tmp_path / "labels.txt").write_text("ok\nscratch\ndent\n")
    out = tmp_path / "sub" / "m.gagrad"
    options = ("--mean", "0.5", "0.5", "0.5", "--std", "0.25", "--classes", str(tmp_path / "labels.txt"))
    assert export(model, out, *options) == 0
    said = capsys.readouterr().err
    for word in ("operators", "rules", "verified", "time", "MB", "Conv ×2", "MaxPool", "finite-differences"):
        assert word in said
    manifest = read_bundle(out).manifest
    assert manifest.output.classes == ["ok", "scratch", "dent"]
    assert manifest.output.activation == "softmax"
    assert manifest.input.std == [0.25] * 3
    assert manifest.verification.gradient_error <= 2e-2


@pytest.mark.slow
def test_a_bundle_may_carry_the_gradient_for_an_engine_too(model: Path, tmp_path: Path) -> None:
    """--engine adds a gradient graph for that engine; other engines get the portable one."""
    out = tmp_path / "m.gagrad"
    assert export(model, out, "--engine", "tensorrt") == 0
    bundle = read_bundle(out)
    masks = {
        target: [
            node.op_type
            for node in onnx.load_from_string(bundle.graph(GraphKey("accumulate", target=target))).graph.node
        ]
        for target in ("portable", "tensorrt", "an engine of tomorrow")
    }
    assert "HardSigmoid" in masks["portable"]
    assert "HardSigmoid" not in masks["tensorrt"]
    assert masks["an engine of tomorrow"] == masks["portable"]
    assert bundle.graph(GraphKey("predict", target="tensorrt")) == bundle.graph("predict")


@pytest.mark.slow
def test_float16_beside_float32(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """Both graphs, the agreement said at export and by ``inspect``; bf16 for no engine is refused."""
    out = tmp_path / "m.gagrad"
    assert export(model, out, "--precision", "fp16") == 0
    assert "float16" in capsys.readouterr().err
    bundle = read_bundle(out)
    files = {graph.file for graph in bundle.manifest.graphs if graph.precision == "float16"}
    assert files == {"graphs/predict.float16.onnx", "graphs/accumulate.float16.onnx"}
    assert run(["inspect", str(out)]) == 0
    said = capsys.readouterr().out
    assert "rank correlation" in said
    assert "accumulate: " in said
    assert export(model, tmp_path / "b.gagrad", "--precision", "bf16") == 2
    assert "ConvTranspose" in capsys.readouterr().err
    assert not (tmp_path / "b.gagrad").exists()


@pytest.mark.slow
def test_same_command_same_bytes(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SOURCE_DATE_EPOCH the same command writes the same bytes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("one", "two"):
        assert export(model, tmp_path / name / "m.gagrad") == 0
    one, two = ((tmp_path / name / "m.gagrad").read_bytes() for name in ("one", "two"))
    assert one == two
    assert read_bundle(tmp_path / "one" / "m.gagrad").manifest.created == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--mean", "0.5", "0.5"), 2, "2 values for 3 channels"),
        (("--std", "0"), 2, "std"),
        (("--size", "10", "10"), 4, "24"),
        (("--size", "0", "10"), 2, ""),
        (("--samples", "1"), 2, "samples"),
        (("--classes", "gone.txt"), 2, "gone.txt"),
        (("--weights", "w.pt"), 2, "weights"),
        (("--output-name", "nothing"), 4, "nothing"),
    ],
    ids=str,
)
def test_wrong_options(
    model: Path, tmp_path: Path, capsys: Capture, options: tuple[str, ...], code: int, word: str
) -> None:
    """A wrong option exits with its code and its reason, and writes nothing."""
    out = tmp_path / "out" / "m.gagrad"
    assert export(model, out, *options) == code
    assert word in capsys.readouterr().err
    assert not out.exists()


def test_class_list_of_the_wrong_length(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """A class list of another length exits with 2, names both lengths, and writes nothing."""
    (tmp_path / "labels.txt").write_text("ok\nscratch\n")
    out = tmp_path / "m.gagrad"
    assert export(model, out, "--classes", str(tmp_path / "labels.txt")) == 2
    said = capsys.readouterr().err
    assert "2" in said
    assert "3" in said
    assert not out.exists()


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\x08\x07"])
def test_a_file_that_is_no_model(tmp_path: Path, capsys: Capture, content: bytes | None) -> None:
    """A file that is missing or no model exits with 4 and writes nothing."""
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    assert export(path, tmp_path / "x.gagrad") == 4
    assert "How to mend it" in capsys.readouterr().err
    assert not (tmp_path / "x.gagrad").exists()


def test_an_operator_without_a_rule_is_named(tmp_path: Path, capsys: Capture) -> None:
    """Node, operator, and a way out."""
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20, "acme" : 1]>
        m (float[N, 3, 8, 8] x) => (float[N, 3] y) {
            a = Relu (x)
            [strange] b = Det (a)
            y = Identity (b)
        }
    """)
    onnx.save(model, tmp_path / "m.onnx")
    assert export(tmp_path / "m.onnx", tmp_path / "m.gagrad") == 4
    said = capsys.readouterr().err
    assert "Det" in said
    assert "How to mend it" in said
    assert not (tmp_path / "m.gagrad").exists()


@pytest.mark.slow
def test_a_model_that_gives_nan_is_not_packaged(tmp_path: Path, capsys: Capture) -> None:
    """A model whose scores are NaN exits with 4 and writes nothing."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "b3":
            tensor.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), "b3"))
    onnx.save(model, tmp_path / "m.onnx")
    assert export(tmp_path / "m.onnx", tmp_path / "m.gagrad") == 4
    assert "NaN" in capsys.readouterr().err
    assert not (tmp_path / "m.gagrad").exists()


def test_the_name_ends_in_gagrad(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """An output name without .gagrad exits with 2 and shows the right one."""
    assert export(model, tmp_path / "m.zip") == 2
    assert "m.gagrad" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    """An output folder that cannot be made exits with 5."""
    (tmp_path / "file").write_text("")
    assert export(model, tmp_path / "file" / "m.gagrad") == 5


@pytest.mark.slow
def test_weights_outside_the_models_folder_are_refused(tmp_path: Path, capsys: Capture) -> None:
    """External data is read from the model's own folder only."""
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(tiny_model(), folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert export(folder / "m.onnx", tmp_path / "good.gagrad") == 0
    secret = tmp_path / "secret.bin"
    (folder / "w.bin").rename(secret)
    assert export(folder / "m.onnx", tmp_path / "gone.gagrad") == 4
    (folder / "w.bin").symlink_to(secret)
    assert export(folder / "m.onnx", tmp_path / "link.gagrad") == 4
    for location in ("../secret.bin", str(secret)):
        proto = onnx.load(folder / "m.onnx", load_external_data=False)
        for tensor in proto.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        (folder / "evil.onnx").write_bytes(proto.SerializeToString())
        assert export(folder / "evil.onnx", tmp_path / "evil.gagrad") == 4
        assert "outside the model's folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.glob("*.gagrad")) == ["good.gagrad"]
