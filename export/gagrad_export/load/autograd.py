"""A torch module asked itself: its gradient by autograd, and its answers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from gagrad_export.load.answer import tensors
from gagrad_export.load.evaluating import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from gagrad_export.load.onnx_file import Autograd

    Array = NDArray[np.float32]


_DETACHED = "the module computes it under no_grad or inference_mode, or detaches it"


class NoAutogradError(RuntimeError):
    """Autograd does not reach the image, or the module cannot be run as asked; the text says why."""


class NothingDetachedError(NoAutogradError):
    """The module detaches nothing, so autograd that goes through what is detached is autograd."""


def autograd(module: torch.nn.Module, place: int, *, through: bool = False) -> Autograd:
    """Return autograd of the tensor at ``place`` of the module's answer.

    With ``through`` it goes through what the module detaches and computes under ``no_grad``, as the bundle's
    gradient does: the ONNX graph has no detach. The function then raises NothingDetachedError for a module
    without such a part. The first call with ``double`` makes the weights in float64.
    """
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    in_double: dict[str, torch.Tensor] = {}

    def gradient(x: Array, cotangent: Array, *, double: bool) -> Array:
        if double and not in_double:
            held = (*module.named_parameters(), *module.named_buffers())
            in_double.update({name: _double(tensor) for name, tensor in held})
        dtype = torch.float64 if double else torch.float32
        leaf = torch.from_numpy(x).to(dtype).requires_grad_()
        mode = _going_through() if through else None
        with evaluating(module), torch.enable_grad(), mode or contextlib.nullcontext():
            try:
                # Cloned, because a module may write to its input, which autograd forbids for a leaf.
                answer = torch.func.functional_call(module, in_double if double else {}, (leaf.clone(),))
                scores = tensors(answer)[place][1]
                weights = _shaped(torch.from_numpy(cotangent).to(dtype), scores)
                if mode is not None and not mode.met:
                    raise NothingDetachedError("the module detaches nothing")
                if not scores.requires_grad:
                    raise NoAutogradError(_DETACHED)
                # Not .backward(), which would add to the .grad of tensors that the module keeps.
                (found,) = torch.autograd.grad((scores * weights).sum(), [leaf], allow_unused=True)
            except RuntimeError:
                raise
            except Exception as error:  # whatever the user's code raises
                raise NoAutogradError(f"{type(error).__name__}: {error}") from error
        if found is None:
            raise NoAutogradError(_DETACHED)
        return found.float().numpy()

    return gradient


class _GoingThrough(Protocol):
    """A mode of torch in which nothing is detached."""

    met: bool
    """Whether something was asked to be."""

    def __enter__(self) -> object: ...
    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> Any: ...


def _going_through() -> _GoingThrough:
    """Return the mode. It holds for this thread and this call alone; ``inference_mode`` is not undone."""
    import torch  # noqa: PLC0415 - torch is needed for torch models only
    from torch.overrides import TorchFunctionMode  # noqa: PLC0415

    detaching = {torch.detach, torch.Tensor.detach, torch.detach_, torch.Tensor.detach_}

    class GoingThrough(TorchFunctionMode):
        met = False

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            if func in detaching and args and args[0].requires_grad:
                self.met = True
                return args[0]
            if func is torch._C._set_grad_enabled and args and args[0] is False:
                self.met = True
                return None
            return func(*args, **(kwargs or {}))

    mode: _GoingThrough = GoingThrough()
    return mode


def answers(module: torch.nn.Module, place: int) -> Callable[[Array], Array]:
    """Return a function from the model input to the tensor at ``place`` of the module's answer."""
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    def answer(x: Array) -> Array:
        with evaluating(module), torch.no_grad():
            found = tensors(module(torch.from_numpy(x).clone()))[place][1]
        return found.detach().float().numpy()

    return answer


def _shaped(cotangent: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return the cotangent in the shape of the module's scores, which may have other axes of length one."""
    if cotangent.shape == scores.shape:
        return cotangent
    one, two = ([extent for extent in tensor.shape if extent != 1] for tensor in (cotangent, scores))
    if one != two:
        raise NoAutogradError(
            f"the module answers {list(scores.shape)}, and the bundle's scores are {list(cotangent.shape)}"
        )
    return cotangent.reshape(scores.shape)


def _double(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy, in float64 where ``tensor`` holds floating-point numbers, else of its own type."""
    copied = tensor.detach().clone()
    return copied.double() if tensor.is_floating_point() else copied
