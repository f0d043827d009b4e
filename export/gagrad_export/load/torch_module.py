"""Load a torch module: torch exports it to ONNX, and autograd through it verifies our gradient."""

from __future__ import annotations

import hashlib
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError, ModelError, SettingError
from gagrad_export.load.answer import has_names, tensors
from gagrad_export.load.autograd import answers, autograd
from gagrad_export.load.evaluating import evaluating
from gagrad_export.load.exported_program import (
    archive_kind,
    as_module,
    program_shape,
    read_program,
    torchscript_refused,
)
from gagrad_export.load.onnx_file import Source
from gagrad_export.load.reads import values_read
from gagrad_export.load.torch_onnx import module_to_onnx, program_to_onnx
from gagrad_export.load.users_code import said, users_line
from gagrad_export.load.weights import load_weights
from gagrad_export.size import SMALLER, check_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx
    import torch


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
        proto, traced = module_to_onnx(
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
    proto = program_to_onnx(program, name)
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
    gradients = {output: autograd(module, place) for place, output in enumerate(names)}
    return Source(
        proto,
        name,
        hashlib.sha256(data).hexdigest(),
        "torch",
        gradient=gradients[names[0]] if names else None,
        notes=notes,
        gradients=gradients,
        through={output: autograd(module, place, through=True) for place, output in enumerate(names)},
        answers={output: answers(module, place) for place, output in enumerate(names)},
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


def _require_torch() -> None:
    try:
        import torch  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingPackageError(
            "PyTorch is not installed, and this model is a torch module",
            hint='pip install "gagrad-edge[torch]", or export the model to .onnx elsewhere',
        ) from error
