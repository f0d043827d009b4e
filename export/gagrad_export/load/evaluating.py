"""Evaluation mode for a module of the caller: held for a block, and then everything is as it was."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


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
