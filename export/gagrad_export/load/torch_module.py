"""Load a torch module: torch exports it to ONNX, and autograd through it verifies our gradient."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import logging
import os
import pickle
import sys
import sysconfig
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError, ModelError
from gagrad_export.load.complete import missing_values
from gagrad_export.load.onnx_file import Source
from gagrad_export.size import SMALLER, check_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import onnx
    import torch
    from numpy.typing import NDArray

    from gagrad_export.load.onnx_file import Autograd

OPSET = 20
"""Opset that torch exports to: from 20 on Gelu is one operator, and TensorRT 10.3 reads no later opset."""

_OLDER_OPSET = 17
"""The last opset for which torch's older (TorchScript) exporter has all operators."""


def load_torch_factory(
    reference: str, *, weights: str | Path | None, input_shape: tuple[int, int, int]
) -> Source:
    """Import ``package.module:factory``, call the factory, load ``weights``, and export the module.

    The factory takes no argument and returns a ``torch.nn.Module``. ``weights`` is a file of tensors, read by
    ``torch.load(..., weights_only=True)``: nothing in the file is executed. Raises ModelError, also for
    whatever the user's own code raises; that exception is then the ModelError's ``__cause__``.
    """
    _require_torch()
    module_name, _, attribute = reference.partition(":")
    # As `python -m` does: the user's own package lies in the current folder.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        factory: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
        module = factory()
    except (Exception, SystemExit) as error:
        raise _factory_error(reference, error) from error
    if weights is not None:
        _load_weights(module, Path(weights))
    return load_torch_module(module, name=attribute.split(".")[-1], input_shape=input_shape)


def _factory_error(reference: str, error: BaseException) -> ModelError:
    """Return what to say of an exception: the user's code raised it, or the reference leads nowhere."""
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    lines = traceback.extract_tb(error.__traceback__)
    here = [f"{line.filename}:{line.lineno}" for line in lines if _is_users(line.filename)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        here = [f"{error.filename}:{error.lineno}"]
    if here:
        module_name, _, attribute = reference.partition(":")
        return ModelError(
            f"the factory raised {said} ({here[-1]})",
            where=reference,
            hint=f'mend the factory; `python -c "import {module_name}; {module_name}.{attribute}()"` shows '
            "the full traceback",
        )
    return ModelError(
        f"the factory could not be called ({said})",
        where=reference,
        hint="give package.module:factory, where factory() returns the torch.nn.Module; run from the folder "
        "that holds the package",
    )


def _is_users(file: str) -> bool:
    """Whether a frame's file is the user's code: neither ours, nor Python's, nor an installed package's."""
    paths = sysconfig.get_paths()
    foreign = (paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"])
    return not file.startswith(("<", *foreign)) and Path(file) != Path(__file__)


def load_torch_module(
    module: torch.nn.Module, *, name: str, input_shape: tuple[int, int, int], dynamic_batch: bool = True
) -> Source:
    """Export ``module``, which takes ``[N, C, H, W]``, to ONNX in evaluation mode.

    The module is left as it was: see ``_evaluating``. Raises ModelError.
    """
    _require_torch()
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"this is a {type(module).__name__}, not a torch.nn.Module", where=name)
    tensors = (*module.parameters(), *module.buffers())
    check_size(sum(tensor.nbytes for tensor in tensors), "the model", name, SMALLER)

    with _evaluating(module):
        proto = _export(module, name, input_shape, dynamic_batch=dynamic_batch)
    data = proto.SerializeToString(deterministic=True)
    return Source(proto, name, hashlib.sha256(data).hexdigest(), "torch", _autograd(module))


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Hold ``module`` in evaluation mode, its parameters without gradients; restore everything on leaving.

    The module is the caller's, who may go on training. Restored are the training flag of every submodule,
    ``requires_grad`` of every parameter, the contents of every buffer, and every attribute that ``forward``
    or torch's exporter bound anew, tables such as hooks and buffers included. Restored and not copied: a
    copy would need the weights' memory again, and not every module can be copied.
    """
    import torch  # noqa: PLC0415

    parameters = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    attributes = [(each, dict(vars(each))) for each in module.modules()]
    tables = [
        (table, dict(table)) for _, known in attributes for table in known.values() if isinstance(table, dict)
    ]
    try:
        module.eval()
        module.requires_grad_(requires_grad=False)
        yield
    finally:
        for each, known in attributes:
            vars(each).clear()
            vars(each).update(known)
        for table, content in tables:
            table.clear()
            table.update(content)
        for parameter, requires_grad in parameters:
            parameter.requires_grad_(requires_grad)
        with torch.no_grad():
            for buffer, before in buffers:
                # Not without need: autograd refuses to go back through a tensor that was written to.
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _autograd(module: torch.nn.Module) -> Autograd:
    """Return autograd through ``module``; the first call with ``double`` makes its weights in float64."""
    import torch  # noqa: PLC0415

    in_double: dict[str, torch.Tensor] = {}

    def gradient(
        x: NDArray[np.float32], cotangent: NDArray[np.float32], *, double: bool
    ) -> NDArray[np.float32]:
        if double and not in_double:
            tensors = (*module.named_parameters(), *module.named_buffers())
            in_double.update({name: _double(tensor) for name, tensor in tensors})
        dtype = torch.float64 if double else torch.float32
        leaf = torch.from_numpy(x).to(dtype).requires_grad_()
        with _evaluating(module):
            scores = torch.func.functional_call(module, in_double if double else {}, (leaf,))
            total = (scores * torch.from_numpy(cotangent).to(dtype)).sum()
            # Not total.backward(), which would add to the .grad of tensors that the module keeps.
            (found,) = torch.autograd.grad(total, [leaf])
        return found.float().numpy()

    return gradient


def _double(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy, in float64 where ``tensor`` holds floating-point numbers, else of its own type."""
    copied = tensor.detach().clone()
    return copied.double() if tensor.is_floating_point() else copied


def _export(
    module: torch.nn.Module, name: str, input_shape: tuple[int, int, int], *, dynamic_batch: bool
) -> onnx.ModelProto:
    """Return ``module`` as ONNX: with a free batch if ``dynamic_batch`` and torch allow it, else for one row.

    Some models compute with the batch size in a way that torch cannot keep free; the canonicaliser makes a
    fixed batch free, and verification proves the result. Some operators only torch's older exporter can
    write: scaled_dot_product_attention of five axes (Hiera, NesT).
    """
    ways = [*([_with_free_batch] if dynamic_batch else []), _with_one_row, _with_the_older_exporter]
    failures: list[Exception] = []
    for way in ways:
        try:
            with _quiet():
                return way(module, input_shape)
        except Exception as error:  # noqa: BLE001, PERF203 - torch raises anything
            failures.append(error)
    *_, plainest, _ = failures  # of the export for one row, whose message is the easiest to understand
    raise ModelError(
        f"torch could not export the model ({type(plainest).__name__}: {str(plainest).splitlines()[0]})",
        where=name,
        hint="export it with torch.onnx.export yourself and give the .onnx file",
    ) from plainest


def _with_free_batch(module: torch.nn.Module, input_shape: tuple[int, int, int]) -> onnx.ModelProto:
    import torch  # noqa: PLC0415

    return _program(module, (2, *input_shape), ({0: torch.export.Dim("N", min=1, max=4096)},))


def _with_one_row(module: torch.nn.Module, input_shape: tuple[int, int, int]) -> onnx.ModelProto:
    return _program(module, (1, *input_shape), None)


def _program(module: torch.nn.Module, shape: tuple[int, ...], free: Any) -> onnx.ModelProto:
    import torch  # noqa: PLC0415

    def program(*, optimize: bool) -> onnx.ModelProto:
        program = torch.onnx.export(
            module,
            (torch.zeros(shape),),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=free,
            verbose=False,
            optimize=optimize,
        )
        assert program is not None  # noqa: S101 - with dynamo=True a program is returned
        proto: onnx.ModelProto = program.model_proto
        return proto

    proto = program(optimize=True)
    return program(optimize=False) if any(missing_values(proto)) else proto


def _with_the_older_exporter(module: torch.nn.Module, input_shape: tuple[int, int, int]) -> onnx.ModelProto:
    import onnx  # noqa: PLC0415
    import torch  # noqa: PLC0415

    stream: Any = io.BytesIO()  # torch declares a path only, and takes a stream
    torch.onnx.export(
        module, (torch.zeros(1, *input_shape),), stream, dynamo=False, opset_version=_OLDER_OPSET
    )
    return onnx.load_model_from_string(stream.getvalue())


def _load_weights(module: torch.nn.Module, path: Path) -> None:
    import torch  # noqa: PLC0415

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"the weights cannot be read ({str(error).splitlines()[0]})",
            where=str(path),
            hint="give a file that torch.save(model.state_dict(), path) wrote",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the weights do not fit the model ({' '.join(str(error).split())[:300]})",
            where=str(path),
            hint="use the weights of exactly this architecture",
        ) from error


def _require_torch() -> None:
    try:
        import torch  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingPackageError(
            "PyTorch is not installed, and this model is a torch module",
            hint='pip install "gagrad-edge[torch]", or export the model to .onnx elsewhere',
        ) from error


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
