"""Places where a module's Python code reads numbers from tensors: ``if x.mean() > 0.5``, ``x.max().item()``.

An exporter that follows one run of the module writes down what came of that run. What another image would
have come to is lost: the other side of a branch, another factor.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_export.load.users_code import is_users

if TYPE_CHECKING:
    import torch

    Values = dict[str, list[Any]]


@dataclass(frozen=True)
class Read:
    """A line that reads a number from a tensor, and whether the image's content changed the number."""

    place: str
    """``file:line``."""
    changes: bool

    @property
    def sentence(self) -> str:
        """What the user must know of it."""
        if self.changes:
            return (
                f"WARNING: the module decides by the content of the image at {self.place}, and the bundle "
                "keeps what came of one image there (write it with torch.where to keep both sides)"
            )
        return (
            f"the module reads a number from a tensor at {self.place}; it was the same for each image that "
            "was tried, and the bundle keeps it"
        )


def values_read(module: torch.nn.Module, input_shape: tuple[int, int, int]) -> tuple[Read, ...]:
    """Run ``module`` on images of different content, and return the lines that read numbers from tensors."""
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    found: list[Values] = []
    for image in _images(input_shape):
        values: Values = {}
        with torch.no_grad(), _recorder(values):
            module(torch.from_numpy(image))
        found.append(values)
    places = dict.fromkeys(place for values in found for place in values)
    return tuple(
        Read(place, any(values.get(place) != found[0].get(place) for values in found)) for place in places
    )


def _images(shape: tuple[int, int, int]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Return images ``[1, C, H, W]``: black, white, grey, far below and above, a ramp, and noise."""
    generator = np.random.default_rng(0)
    full = [np.full((1, *shape), value, np.float32) for value in (0.0, 1.0, 0.5, -3.0, 3.0)]
    ramp = np.broadcast_to(np.linspace(0, 1, shape[-1], dtype=np.float32), (1, *shape)).copy()
    return [*full, ramp, generator.standard_normal((1, *shape)).astype(np.float32)]


def _recorder(values: Values) -> Any:
    """Return a mode of torch that notes each number which Python reads from a tensor, by the reading line."""
    import torch  # noqa: PLC0415
    from torch.utils._python_dispatch import TorchDispatchMode  # noqa: PLC0415

    reading = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default}

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            if func in reading:
                frames = [frame for frame in traceback.extract_stack() if is_users(frame.filename)]
                inside = frames or traceback.extract_stack()[-2:]
                name = Path(inside[-1].filename).name  # no paths of this machine in a bundle
                values.setdefault(f"{name}:{inside[-1].lineno}", []).append(result)
            return result

    return Recorder()  # type: ignore[no-untyped-call]
