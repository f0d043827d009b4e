"""Load a torch module: torch exports it to ONNX, and autograd through it verifies our gradient."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import logging
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError, ModelError, SettingError
from gagrad_export.load.answer import has_names, tensors
from gagrad_export.load.autograd import answers, autograd
from gagrad_export.load.complete import missing_values
from gagrad_export.load.exported_program import (
    archive_kind,
    as_module,
    program_shape,
    read_program,
    torchscript_refused,
)
from gagrad_export.load.onnx_file import Source
from gagrad_export.load.reads import values_read
from gagrad_export.load.users_code import said, users_line
from gagrad_export.load.weights import load_weights
from gagrad_export.size import SMALLER, check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import onnx
    import torch

OPSET = 20
"""Opset that torch exports to: from 20 on Gelu is one operator, and TensorRT 10.3 reads no later opset."""

_OLDER_OPSET = 17
"""The last opset for which torch's older (TorchScript) exporter has all operators."""


def load_torch(
    model: str | Path | torch.nn.Module | torch.export.ExportedProgram,
    *,
    weights: str | Path | None,
    size: tuple[int, int] | None,
    channels: int,
) -> Source:
    """Load a model of torch: ``package.module:factory``, one of torch's files, a module or a program.

    Raises ModelError, SettingError where ``size`` is missing or wrong, and MissingPackageError.
    """
    if isinstance(model, (str, Path)) and (kind := archive_kind(Path(model))) is not None:
        path = Path(model)
        if kind == "program":
            _require_torch()
        program = read_program(path, kind)
        return load_exported_program(program, name=path.stem, size=size, channels=channels)
    _require_torch()
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    if isinstance(model, torch.export.ExportedProgram):
        return load_exported_program(model, name=type(model).__name__, size=size, channels=channels)
    if size is None:
        raise SettingError(
            "a torch model does not say the size of its images",
            where="size",
            hint="give height and width with `size`",
        )
    shape = (channels, *size)
    if isinstance(model, (str, Path)):
        return load_torch_factory(str(model), weights=weights, input_shape=shape)
    return load_torch_module(model, name=type(model).__name__, input_shape=shape)


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
    name = attribute.split(".")[-1]
    _check_module(module, name)
    notes = () if weights is None else load_weights(module, Path(weights))
    source = load_torch_module(module, name=name, input_shape=input_shape)
    return replace(source, notes=(*notes, *source.notes))


def _factory_error(reference: str, error: BaseException) -> ModelError:
    """Return what to say of an exception: the user's code raised it, or the reference leads nowhere."""
    here = users_line(error)
    if here is not None:
        module_name, _, attribute = reference.partition(":")
        return ModelError(
            f"the factory raised {said(error)} ({here})",
            where=reference,
            hint=f'mend the factory; `python -c "import {module_name}; {module_name}.{attribute}()"` shows '
            "the full traceback",
        )
    return ModelError(
        f"the factory could not be called ({said(error)})",
        where=reference,
        hint="give package.module:factory, where factory() returns the torch.nn.Module; run from the folder "
        "that holds the package",
    )


def load_torch_module(
    module: torch.nn.Module, *, name: str, input_shape: tuple[int, int, int], dynamic_batch: bool = True
) -> Source:
    """Export ``module``, which takes ``[N, C, H, W]``, to ONNX in evaluation mode.

    The module is left as it was: see ``evaluating``. Raises ModelError.
    """
    _require_torch()
    _check_module(module, name)
    _check_size((*module.parameters(), *module.buffers()), name)

    keys, named, notes = _answer_of(module, name, input_shape)
    module = _tensors_alone(module) if named else module
    with evaluating(module):
        proto, traced = _export(
            module, name, input_shape, keys if named else None, dynamic_batch=dynamic_batch
        )
        reads = values_read(module, input_shape) if traced else ()
    return _source(proto, name, module, len(keys), (*notes, *(read.sentence for read in reads)))


def load_exported_program(
    program: torch.export.ExportedProgram, *, name: str, size: tuple[int, int] | None, channels: int
) -> Source:
    """Write ``program`` as ONNX; its images have the size and the channels that it was exported with.

    Raises ModelError, and SettingError where ``size`` is another.
    """
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    held = (*program.state_dict.values(), *program.constants.values())
    _check_size([value for value in held if isinstance(value, torch.Tensor)], name)
    program_shape(program, name, size, channels)
    module = as_module(program)
    try:
        with _quiet():
            proto = _complete(lambda optimize: _written(program, None, None, optimize=optimize))
    except Exception as error:  # torch raises anything
        raise _export_error(error, name) from error
    nodes = next(node for node in program.graph.nodes if node.op == "output")
    return _source(proto, name, module, len(tensors([each.meta["val"] for each in nodes.args[0]])), ())


def _source(
    proto: onnx.ModelProto,
    name: str,
    module: torch.nn.Module,
    count: int,
    notes: tuple[str, ...],
) -> Source:
    """Return the source whose ``module`` answers ``count`` tensors, the outputs of ``proto`` in order."""
    data = proto.SerializeToString(deterministic=True)
    names = [output.name for output in proto.graph.output]
    if len(names) != count:  # torch's exporter left one out: which is which is not known
        names = []
    gradients = {output: autograd(module, place, evaluating) for place, output in enumerate(names)}
    return Source(
        proto,
        name,
        hashlib.sha256(data).hexdigest(),
        "torch",
        gradient=gradients[names[0]] if names else None,
        notes=notes,
        gradients=gradients,
        through={
            output: autograd(module, place, evaluating, through=True) for place, output in enumerate(names)
        },
        answers={output: answers(module, place, evaluating) for place, output in enumerate(names)},
    )


def _check_module(module: Any, name: str) -> None:
    """Raise ModelError unless ``module`` is a module whose code is there to be exported."""
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    if isinstance(module, torch.jit.ScriptModule):
        raise torchscript_refused(name)
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"this is a {type(module).__name__}, not a torch.nn.Module", where=name)


def _check_size(held: Iterable[torch.Tensor], name: str) -> None:
    check_size(sum(tensor.nbytes for tensor in held), "the model", name, SMALLER)


def _answer_of(
    module: torch.nn.Module, name: str, input_shape: tuple[int, int, int]
) -> tuple[list[str], bool, tuple[str, ...]]:
    """Run ``module`` once: return the keys of the tensors it returns, whether they are names, and notes.

    What forward raises is known here as the user wrote it; torch's exporter would wrap it. Raises ModelError.
    """
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    image = torch.rand((1, *input_shape), generator=torch.Generator().manual_seed(0))
    try:
        with evaluating(module), torch.no_grad():
            runs = [module(image.clone()) for _ in range(2)]
    except Exception as error:  # whatever the user's code raises
        place = users_line(error)
        raise ModelError(
            f"the module's forward raised {said(error)}" + (f" ({place})" if place else ""),
            where=name,
            hint=f"it was called with float32 images of shape {[1, *input_shape]}, [N, C, H, W]: for a grey "
            "model set `colour` to mono, for other channels than colours `channels` to their number; `size` "
            "is height and width; a module that takes anything else needs a module around it that takes this",
        ) from error
    found, again = (tensors(run) for run in runs)
    if not found:
        raise ModelError(
            f"the module's forward returns {type(runs[0]).__name__}, which holds no tensor",
            where=name,
            hint="return the scores as a tensor, or as a tuple, dict or dataclass of tensors",
        )
    keys = [key for key, _ in found]
    changes = any(not torch.equal(one, two) for (_, one), (_, two) in zip(found, again, strict=True))
    notes = (_RANDOM,) if changes else ()
    return keys, has_names(runs[0]) and len(set(keys)) == len(keys), notes


_RANDOM = (
    "WARNING: the module answers the same image differently each time, in evaluation mode too (dropout that "
    "stays on, or other random numbers); the explanation is of the module as torch exports it, without them"
)


def _tensors_alone(module: torch.nn.Module) -> torch.nn.Module:
    """Return ``module`` with the tensors of its answer as a tuple, which every exporter of torch takes."""
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    class Tensors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(tensor for _, tensor in tensors(self.model(x)))

    return Tensors()


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
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


def _export(
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
    module, and so keeps only the side of a branch that this run takes: see ``reads``.
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
