"""Programs of torch.export, ``.pt2`` files, and torch's other archives."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import GagradError, ModelError, SettingError
from gagrad_export import export
from gagrad_export.load.exported_program import archive_kind, read_program

pytestmark = pytest.mark.slow

SIZE = (16, 16)


def net(channels: int = 3) -> nn.Module:
    """Return a small classifier, always the same."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 3)).eval()


def program(*, free: bool, channels: int = 3) -> torch.export.ExportedProgram:
    """Return the classifier as a program with a free batch, or for one row."""
    batch = ({0: torch.export.Dim("N", min=1, max=64)},) if free else None
    return torch.export.export(
        net(channels), (torch.zeros(2 if free else 1, channels, *SIZE),), dynamic_shapes=batch
    )


@pytest.mark.parametrize("free", [True, False], ids=["free batch", "one row"])
@pytest.mark.parametrize("file", [True, False], ids=["file", "object"])
def test_a_program_is_exported_and_verified_against_autograd(
    tmp_path: Path, *, free: bool, file: bool
) -> None:
    """With the size that the program has, whether ``size`` is given or not."""
    model: Any = program(free=free)
    if file:
        torch.export.save(model, tmp_path / "part.pt2")
        model = tmp_path / "part.pt2"
    export(model, tmp_path / "m.gagrad", size=SIZE if free else None)
    manifest = read_bundle(tmp_path / "m.gagrad").manifest
    assert manifest.verification.reference == "autograd"
    assert (manifest.input.height, manifest.input.width) == SIZE
    assert manifest.model.source == "torch"


def test_another_size_is_refused(tmp_path: Path) -> None:
    """With the size that the program has, height and width named."""
    with pytest.raises(SettingError, match="height 16 and width 16, not 32 and 24"):
        export(program(free=False), tmp_path / "m.gagrad", size=(32, 24))


def test_the_channels_are_the_programs(tmp_path: Path) -> None:
    """A grey program makes a grey bundle without being told."""
    export(program(free=False, channels=1), tmp_path / "m.gagrad")
    assert read_bundle(tmp_path / "m.gagrad").manifest.input.colour == "mono"


def test_a_program_of_two_inputs_is_refused(tmp_path: Path) -> None:
    """The shapes that it takes are named."""

    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (x + y).mean((2, 3))

    two = torch.export.export(Two(), (torch.zeros(1, 3, *SIZE), torch.zeros(1, 3, *SIZE)))
    with pytest.raises(ModelError, match=r"takes .*, not one batch of images"):
        export(two, tmp_path / "m.gagrad", size=SIZE)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("file", [True, False], ids=["file", "object"])
def test_torchscript_is_refused_with_the_lines_that_help(tmp_path: Path, *, file: bool) -> None:
    """Two lines, which name the file where there is one."""
    script: Any = torch.jit.trace(net(), torch.zeros(1, 3, *SIZE))  # type: ignore[no-untyped-call]
    script.save(str(tmp_path / "part.pt"))
    with pytest.raises(ModelError, match="TorchScript") as caught:
        export(tmp_path / "part.pt" if file else script, tmp_path / "m.gagrad", size=SIZE)
    lines = [line.strip() for line in str(caught.value).splitlines() if line.startswith("    ")]
    assert lines[0].startswith("model = torch.jit.load(")
    assert lines[1].startswith("torch.onnx.export(model, ")
    assert ("part.onnx" in lines[1]) == file


def test_weights_alone_are_refused(tmp_path: Path) -> None:
    """A file of weights as the model: give a factory."""
    torch.save(net().state_dict(), tmp_path / "w.pt")
    assert archive_kind(tmp_path / "w.pt") == "weights"
    with pytest.raises(ModelError, match="does not say how the model computes"):
        export(tmp_path / "w.pt", tmp_path / "m.gagrad", size=SIZE)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_nothing_in_a_program_file_is_executed(tmp_path: Path) -> None:
    """A pickle with code among the program's members is refused, and its code does not run."""

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.export.save(program(free=False), tmp_path / "good.pt2")
    with (
        zipfile.ZipFile(tmp_path / "good.pt2") as good,
        zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad,
    ):
        for name in good.namelist():
            inside = pickle.dumps(Runs()) if "sample_inputs" in name else good.read(name)
            bad.writestr(name.replace("good", "bad", 1), inside)
    with pytest.raises(GagradError):
        read_program(tmp_path / "bad.pt2", "program")
    assert not (tmp_path / "ran").exists()
