"""Load a ``torch.export.ExportedProgram``, from Python or a ``.pt2`` file; tell torch's archives apart."""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export.load.users_code import said

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

Archive = Literal["program", "torchscript", "weights"]


def archive_kind(path: Path) -> Archive | None:
    """Return what kind of torch's zip archives the file at ``path`` is, by its members; None for any other.

    A pickled module and a file of weights look alike from outside, and both count as weights.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return None
    if "archive_format" in members or any(name.startswith("models/") for name in members):
        return "program"
    if "constants.pkl" in members:
        return "torchscript"
    return "weights" if "data.pkl" in members else None


def read_program(path: Path, kind: Archive) -> torch.export.ExportedProgram:
    """Return the program in a ``.pt2`` file. Raises ModelError, also for torch's other archives."""
    if kind == "torchscript":
        raise torchscript_refused(str(path), path.name)
    if kind == "weights":
        raise ModelError(
            "this is a file of weights or a pickled module, which does not say how the model computes",
            where=str(path),
            hint="give package.module:factory, where factory() returns the torch.nn.Module, and this file as "
            "`weights`",
        )
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    try:
        with _tensors_only():
            return torch.export.load(path)
    except Exception as error:  # torch raises anything
        raise ModelError(
            f"torch cannot read the exported program ({said(error)})",
            where=str(path),
            hint="write it again with torch.export.save and this version of torch "
            f"({torch.__version__}), or export it to .onnx",
        ) from error


def torchscript_refused(where: str, file: str = "model.pt") -> ModelError:
    """Return the error for TorchScript, with the two lines that turn it into ONNX."""
    name = Path(file).stem
    return ModelError(
        "this is TorchScript, which has no autograd to verify against and which torch no longer develops",
        where=where,
        hint="give the module that it was made from, or write it as ONNX with these two lines, with the size "
        "of your images:\n"
        f'    model = torch.jit.load("{file}").eval()\n'
        f'    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), "{name}.onnx", dynamo=False)',
    )


def program_shape(
    program: torch.export.ExportedProgram, name: str, size: tuple[int, int] | None, channels: int
) -> tuple[int, int, int]:
    """Return (C, H, W) of the program's images; raises ModelError or SettingError if ``size`` is another.

    A program fixes what it was exported with. Channels and size that it left free are as given.
    """
    shapes = [
        tuple(node.meta["val"].shape)
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        given = ", ".join(str(list(shape)) for shape in shapes)
        raise ModelError(
            f"the exported program takes {given or 'nothing'}, not one batch of images [N, C, H, W]",
            where=name,
            hint="export a module whose forward takes the images only",
        )
    own = [extent if isinstance(extent, int) else None for extent in shapes[0]]
    height, width = (known or given for known, given in zip(own[2:], size or (0, 0), strict=True))
    if not (height and width):
        raise SettingError(
            "the program leaves the size of its images free",
            where="size",
            hint="give height and width with `size`",
        )
    if size is not None and (height, width) != tuple(size):
        raise SettingError(
            f"the program was exported for images of height {height} and width {width}, "
            f"not {size[0]} and {size[1]}",
            where="size",
            hint="leave `size` out, or export the program with the other size",
        )
    return own[1] or channels, height, width


def as_module(program: torch.export.ExportedProgram) -> torch.nn.Module:
    """Return the program as a module that may be asked for evaluation mode: a program has one mode only."""
    import torch  # noqa: PLC0415

    class Program(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.program = program.module()

        def forward(self, x: torch.Tensor) -> Any:
            return self.program(x)

        def train(self, mode: bool = True) -> Program:  # noqa: ARG002 - torch's signature
            return self

    return Program()


@contextlib.contextmanager
def _tensors_only() -> Iterator[None]:
    """Hold torch.load to files of tensors: torch.export.load else unpickles, and so runs, what it finds."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
