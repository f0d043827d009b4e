"""What ``gagrad_export.export`` takes: a few parameters, and typed options for the rest."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import onnx
import pytest

import gagrad_export
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import group, run
from gagrad_edge.errors import SettingError
from gagrad_export import BundleOptions, InputOptions, MethodSpec, OutputOptions, TorchFactory, export
from tests.models import CLASSES, tiny_model

STRUCTS = (InputOptions, OutputOptions, BundleOptions, TorchFactory)
ROOT = Path(gagrad_export.__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(tiny_model(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_the_public_names() -> None:
    """A name that comes or goes is a decision; an editor completes each, and each has a docstring."""
    public = {"export", "ExportReport", "MethodSpec", "errors", *(struct.__name__ for struct in STRUCTS)}
    assert set(gagrad_export.__all__) == set(dir(gagrad_export)) == public
    assert all(getattr(gagrad_export, name).__doc__ for name in public)


def names() -> list[str]:
    """Return every name that a caller in Python can give a value: parameters and fields."""
    fields = [field.name for struct in STRUCTS for field in dataclasses.fields(struct)]
    return [*inspect.signature(export).parameters, *fields, *MethodSpec.__struct_fields__]


@pytest.mark.slow
def test_the_everyday_call(model: Path, tmp_path: Path) -> None:
    """As design.md writes it: size, normalisation and class names are parameters."""
    out = tmp_path / "part.gagrad"
    report = export(str(model), out, size=(24, 32), mean=(0.4, 0.5, 0.6), std=[0.25], classes=list(CLASSES))
    manifest = read_bundle(out).manifest
    assert report.manifest == manifest
    assert (manifest.input.height, manifest.input.width) == (24, 32)
    assert (manifest.input.mean, manifest.input.std) == ([0.4, 0.5, 0.6], [0.25] * 3)
    assert manifest.output.classes == list(CLASSES)


@pytest.mark.slow
def test_the_example_in_the_docs_runs(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python block of docs/cli.md, on a smaller model."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/cli.md").read_text("utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if "gagrad_export" in block]
    monkeypatch.chdir(tmp_path)
    model.rename("model.onnx")
    exec(block.replace("(224, 224)", "(24, 32)"), {})  # noqa: S102 - our own documentation
    manifest = read_bundle(tmp_path / "part.gagrad").manifest
    assert (manifest.input.colour, manifest.method.samples) == ("bgr", 40)
    assert any(entry.target == "tensorrt" for entry in manifest.graphs)


def test_ten_parameters_and_one_meaning_for_each_name() -> None:
    """What is added later goes into an option struct; a name in an error can mean one thing only."""
    assert len(inspect.signature(export).parameters) <= 10
    assert len(set(names())) == len(names())


@pytest.mark.parametrize("struct", STRUCTS)
def test_options_are_values(struct: type) -> None:
    """Frozen, with a docstring; only a factory's reference is given by position."""
    assert struct.__doc__
    assert struct.__dataclass_params__.frozen  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        struct("package:factory", "weights.pt", 3)


def test_each_option_of_the_command_has_the_librarys_name() -> None:
    """So an error that names a parameter is shown with its option; two are the command's own."""
    command = group.get_command(click.Context(group), "export")
    assert command is not None
    own = {"output": "path", "triton": None}
    for parameter in command.params:
        assert parameter.name in own or parameter.name in names(), parameter.name


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: InputOptions(colour="grb"), "colour"),  # type: ignore[arg-type]
        (lambda: InputOptions(resize="squeeze"), "resize"),  # type: ignore[arg-type]
        (lambda: InputOptions(bayer="rgbg"), "bayer"),  # type: ignore[arg-type]
        (lambda: InputOptions(bit_depth=8), "bit_depth"),
        (lambda: InputOptions(interpolation="spline"), "interpolation"),  # type: ignore[arg-type]
        (lambda: InputOptions(semantics="skimage"), "semantics"),  # type: ignore[arg-type]
        (lambda: InputOptions(semantics="torch", interpolation="lanczos"), "interpolation"),
        (lambda: InputOptions(pad_place="left"), "pad_place"),  # type: ignore[arg-type]
        (lambda: OutputOptions(activation="relu"), "activation"),  # type: ignore[arg-type]
        (lambda: BundleOptions(targets=["cuda"]), "targets"),  # type: ignore[list-item]
        (lambda: TorchFactory("model.onnx", "weights.pt"), "weights"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_written(make: Any, where: str) -> None:
    """By the struct itself, before anything is loaded; choices are listed where there are some."""
    with pytest.raises(SettingError) as caught:
        make()
    assert caught.value.where == where
    assert caught.value.choices or where in ("bit_depth", "weights")


@pytest.mark.parametrize(
    ("options", "where", "hint"),
    [
        ({"mean": [0.5, 0.5]}, "mean", None),
        ({"std": [0.0]}, "std", None),
        ({"mean": [float("nan"), 0, 0]}, "mean", None),
        ({"mean": [127.5], "std": [51]}, "mean, std", "`mean=[0.5, 0.5, 0.5]` `std=[0.2, 0.2, 0.2]`"),
        ({"classes": ["ok"]}, "classes", None),
        ({"inputs": InputOptions(colour="mono")}, "colour", None),
        ({"bundle": BundleOptions(method=MethodSpec(samples=1))}, "samples", None),
        ({"bundle": BundleOptions(precisions=["float64"])}, "precisions", None),
        ({"bundle": BundleOptions(feature_layer="nothing")}, "feature_layer", None),
    ],
)
def test_an_error_names_the_parameter(
    model: Path, tmp_path: Path, options: dict[str, Any], where: str, hint: str | None
) -> None:
    """As the caller in Python wrote it; hints put it in backticks."""
    with pytest.raises(SettingError) as caught:
        export(model, tmp_path / "m.gagrad", **options)
    assert caught.value.where == where
    assert hint is None or hint in (caught.value.hint or "")
    assert not (tmp_path / "m.gagrad").exists()


@pytest.mark.parametrize(
    ("fields", "where", "said"),
    [
        ({"resize_to": 256}, "resize_to", "cuts nothing.*\n.*`resize=crop`"),
        ({"resize": "letterbox", "crop_ratio": 0.9}, "crop_ratio", "cuts nothing"),
        ({"resize": "crop", "resize_to": 9, "crop_ratio": 0.9}, "resize_to, crop_ratio", "same thing"),
        ({"resize": "crop", "resize_to": 0}, "resize_to", "number of pixels"),
        ({"resize": "crop", "crop_ratio": 1.5}, "crop_ratio", "at most 1"),
        ({"resize": "letterbox", "pad_value": 300}, "pad_value", "0 to 255"),
        ({"pad_value": 114}, "pad_value", "pads nothing"),
        ({"resize": "crop", "pad_place": "top-left"}, "pad_place", "letterbox"),
        ({"interpolation": "cubic"}, "interpolation", "differ.*\n.*`semantics=pil`"),
        ({"antialias": True}, "antialias", "differ"),
        ({"semantics": "pil", "antialias": False}, "antialias", "pil always smooths with linear"),
        ({"semantics": "opencv", "antialias": True}, "antialias", "opencv never smooths with linear"),
    ],
    ids=str,
)
def test_options_of_the_input_that_make_no_sense_together(
    fields: dict[str, Any], where: str, said: str
) -> None:
    """Are refused before anything is loaded, with the parameter and what to do."""
    with pytest.raises(SettingError, match=said) as caught:
        InputOptions(**fields)
    assert caught.value.where == where


@pytest.mark.slow
def test_the_training_s_resizing_is_in_the_manifest_and_in_the_summary(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left open there, and sizes say which is the height."""
    out = tmp_path / "m.gagrad"
    crop = ["--resize", "crop", "--resize-to", "28", "--like", "pil", "--interpolation", "cubic"]
    assert run(["export", str(model), "-o", str(out), "--size", "24", "32", *crop]) == 0
    said = "24 high, 32 wide, rgb, crop from a shorter side of 28 (pil cubic), mean"
    assert said in capsys.readouterr().err
    spec = read_bundle(out).manifest.input
    assert (spec.resize_to, spec.semantics, spec.interpolation, spec.antialias) == (28, "pil", "cubic", True)
    box = ["--resize", "letterbox", "--pad-value", "114", "--pad-place", "top-left", "--like", "torch"]
    assert run(["export", str(model), "-o", str(out), "--size", "24", "32", *box, "--no-antialias"]) == 0
    said = "rgb, letterbox on grey 114 at the top-left (torch linear, no antialias), mean"
    assert said in capsys.readouterr().err
    assert run(["export", str(model), "-o", str(out), "--size", "24", "32", "--resize-to", "28"]) == 2
    error = capsys.readouterr().err
    assert "--resize-to: it says what is cut" in error
    assert "add --resize crop" in error
    assert run(["export", str(model), "-o", str(out), "--size", "24", "32", *crop[:3], "20"]) == 2
    assert "--resize-to: resize_to 20 is less than the shorter side" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bundle_with_a_crop_passes_its_own_test(model: Path, tmp_path: Path) -> None:
    """Its test frame is the model's image, which is neither resized nor cut again on the device."""
    crop = InputOptions(resize="crop", resize_to=40, semantics="opencv")
    export(model, tmp_path / "m.gagrad", size=(24, 32), inputs=crop)
    assert run(["verify", str(tmp_path / "m.gagrad")]) == 0


@pytest.mark.slow
def test_a_library_s_crop_without_a_size_just_covers(model: Path, tmp_path: Path) -> None:
    """The manifest says so: ratio 1."""
    crop = InputOptions(resize="crop", semantics="pil")
    export(model, tmp_path / "m.gagrad", size=(24, 32), inputs=crop)
    assert read_bundle(tmp_path / "m.gagrad").manifest.input.crop_ratio == 1


def test_a_torch_model_needs_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And each side says so in its own words."""
    with pytest.raises(SettingError, match="with `size`"):
        export("package.module:factory", tmp_path / "m.gagrad")
    assert run(["export", "package.module:factory", "-o", str(tmp_path / "m.gagrad")]) == 2
    assert "--size: a torch model" in capsys.readouterr().err


def test_the_command_line_writes_its_options(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``mean`` becomes ``--mean`` with the values as a terminal takes them."""
    out = tmp_path / "m.gagrad"
    assert run(["export", str(model), "-o", str(out), "--mean", "127.5", "--std", "51"]) == 2
    assert "divide them by 255: --mean 0.5 0.5 0.5 --std 0.2 0.2 0.2" in capsys.readouterr().err
    assert run(["export", str(model), "-o", str(out), "--fix", "x=1", "--weights", "w.pt"]) == 2
    assert capsys.readouterr().err.startswith("Error: --weights: ")


@pytest.mark.slow
def test_the_library_never_says_an_option() -> None:
    """No ``--option`` in an error's place or hint; a whole command line may stand in backticks."""
    found = []
    for path in sorted((ROOT / "export").rglob("*.py")):
        if path.parent.name != "commands" and path.name not in ("commands.py", "command.py"):
            found += [f"{path.relative_to(ROOT)}: {text}" for text in _texts(path) if _OPTION.search(text)]
    assert found == []


_OPTION = re.compile(r"(?<![\w-])--[a-z{]")


def _texts(path: Path) -> Iterator[str]:
    """Yield the places and hints of a module's errors as they are written, without what is in backticks."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in ("where", "hint"):
            yield re.sub(r"`[^`]*`", "", ast.unparse(node.value))
