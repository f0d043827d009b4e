"""From a torch module or program to ONNX: the ways of torch's exporters, and what to say when all fail."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import ModelError
from gagrad_export.load.complete import missing_values
from gagrad_export.load.users_code import said, users_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx
    import torch

OPSET = 20
"""Opset that torch exports to: from 20 on Gelu is one operator, and TensorRT 10.3 reads no later opset."""

_OLDER_OPSET = 17
"""The last opset for which torch's older (TorchScript) exporter has all operators."""


def module_to_onnx(
    module: torch.nn.Module,
    name: str,
    input_shape: tuple[int, int, int],
    names: list[str] | None,
    *,
    dynamic_batch: bool,
) -> tuple[onnx.ModelProto, bool]:
    """Return ``module`` as ONNX, and whether it was traced; with a free batch if torch can, else one row.

    Some models compute with the batch size in a way that torch cannot keep free; the canonicaliser makes a
    fixed batch free, and verification proves the result. Some operators only torch's older exporter can
    write: scaled_dot_product_attention of five axes (Hiera, NesT). The older one follows one run of the
    module, and so keeps only the side of a branch that this run takes: see ``reads``. Raises ModelError.
    """
    ways = [*([_with_free_batch] if dynamic_batch else []), _with_one_row, _with_the_older_exporter]
    failures: list[Exception] = []
    for way in ways:
        try:
            with _quiet():
                proto = way(module, input_shape, names)
            if proto.graph.input:
                return proto, way is _with_the_older_exporter
            failures.append(ValueError(_NO_IMAGE))
        except Exception as error:  # noqa: BLE001, PERF203 - torch raises anything
            failures.append(error)
    lost = [error for error in failures if str(error) == _NO_IMAGE]
    *_, plainest, _ = (
        lost * 2 or failures
    )  # of the export for one row, whose message is the easiest to understand
    raise _export_error(plainest, name) from plainest


def program_to_onnx(program: torch.export.ExportedProgram, name: str) -> onnx.ModelProto:
    """Return ``program`` as ONNX. Raises ModelError."""
    try:
        with _quiet():
            return _complete(lambda optimize: _written(program, None, None, optimize=optimize))
    except Exception as error:  # torch raises anything
        raise _export_error(error, name) from error


_NO_IMAGE = (
    "the exported graph does not depend on the image: torch takes what is read by x.data for a constant"
)


def _export_error(error: BaseException, name: str) -> ModelError:
    """Return what to say of torch's exporter: the cause in the user's code where there is one."""
    cause, place = error, users_line(error)
    while cause.__cause__ is not None:
        cause = cause.__cause__
        place = users_line(cause) or place
    where = f"; {place}" if place else ""
    return ModelError(
        f"torch could not export the model ({said(cause)}{where})",
        where=name,
        hint="export it with torch.onnx.export yourself and give the .onnx file",
    )


def _with_free_batch(
    module: torch.nn.Module, input_shape: tuple[int, int, int], names: list[str] | None
) -> onnx.ModelProto:
    import torch  # noqa: PLC0415

    return _program(module, (2, *input_shape), ({0: torch.export.Dim("N", min=1, max=4096)},), names)


def _with_one_row(
    module: torch.nn.Module, input_shape: tuple[int, int, int], names: list[str] | None
) -> onnx.ModelProto:
    return _program(module, (1, *input_shape), None, names)


def _program(
    module: torch.nn.Module, shape: tuple[int, ...], free: Any, names: list[str] | None
) -> onnx.ModelProto:
    import torch  # noqa: PLC0415

    arguments = (torch.zeros(shape),)
    return _complete(
        lambda optimize: _written(module, arguments, names, optimize=optimize, dynamic_shapes=free)
    )


def _complete(written: Callable[[bool], onnx.ModelProto]) -> onnx.ModelProto:
    """Return the model as torch's optimiser leaves it, or without it where it lost values."""
    proto = written(True)
    return written(False) if any(missing_values(proto)) else proto


def _written(
    model: torch.nn.Module | torch.export.ExportedProgram,
    arguments: tuple[torch.Tensor] | None,
    names: list[str] | None,
    **settings: Any,
) -> onnx.ModelProto:
    """Return what torch's exporter writes."""
    import torch  # noqa: PLC0415

    program = torch.onnx.export(
        model,
        arguments or (),
        dynamo=True,
        opset_version=OPSET,
        output_names=names,
        verbose=False,
        **settings,
    )
    assert program is not None  # noqa: S101 - with dynamo=True a program is returned
    proto: onnx.ModelProto = program.model_proto
    return proto


def _with_the_older_exporter(
    module: torch.nn.Module, input_shape: tuple[int, int, int], names: list[str] | None
) -> onnx.ModelProto:
    import onnx  # noqa: PLC0415
    import torch  # noqa: PLC0415

    stream: Any = io.BytesIO()  # torch declares a path only, and takes a stream
    torch.onnx.export(
        module,
        (torch.zeros(1, *input_shape),),
        stream,
        dynamo=False,
        opset_version=_OLDER_OPSET,
        output_names=names,
    )
    return onnx.load_model_from_string(stream.getvalue())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch.onnx's progress prints, warnings and logs off the user's terminal."""
    levels = {name: logging.getLogger(name).level for name in ("torch", "torch.onnx", "onnxscript")}
    with Path(os.devnull).open("w") as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
