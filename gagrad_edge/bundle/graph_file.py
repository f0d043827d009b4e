"""One graph of a bundle: an ONNX file of kilobytes, and the tensors that it refers to by their hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from gagrad_edge.bundle.onnx_wire import inline, references, rewritten
from gagrad_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.onnx_wire import Reference
    from gagrad_edge.bundle.weights import Weights


@dataclass(frozen=True)
class GraphFile:
    """A graph as a bundle stores it. An ONNX file that refers to nothing is one, too."""

    data: Buffer
    """The ONNX file; its hash identifies the graph and its tensors, as it names them by their hashes."""
    weights: Weights | Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Bytes of tensors by hash."""
    where: str = "graph"
    """The bundle, for errors."""

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The tensors that are not in ``data``. Raises BundleError, also for one that refers elsewhere."""
        return references(self.data, where=self.where)

    @property
    def size(self) -> int:
        """Bytes of the graph with its tensors, each counted once."""
        return len(self.data) + sum({one.sha256: one.size for one in self.references}.values())

    @property
    def matrix_share(self) -> float:
        """Share of the tensors' bytes, 0..1, that are in matrices; the others are kernels of convolutions."""
        sizes = {one.sha256: (one.size, len(one.shape)) for one in self.references}.values()
        return sum(size for size, axes in sizes if axes == 2) / max(sum(size for size, _ in sizes), 1)

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Return the tensors that the graph refers to, by the initializers' names. Raises BundleError.

        A stored tensor is a view of the bundle, which must not be written; a derived one is made anew.
        """
        made: dict[str, NDArray[np.uint8]] = {}
        for one in self.references:
            if one.sha256 not in made:
                made[one.sha256] = self._bytes(one)
        return {one.name: made[one.sha256].view(one.dtype).reshape(one.shape) for one in self.references}

    def check(self) -> None:
        """Compare the hash of each tensor with its name. Raises BundleError.

        Reading a bundle leaves out those that are derived from others, as they cannot harm but itself; who
        keeps something under the graph's own bytes, which hold the names, must check them.
        """
        for one in {one.sha256: one for one in self.references}.values():
            if hashlib.sha256(self._bytes(one).data).hexdigest() != one.sha256:
                raise BundleError(
                    f"the tensor {one.name!r} does not have the hash that is its name",
                    where=self.where,
                    hint="do not use this bundle unless you know who made it; if you do, export it again",
                )

    def complete(self) -> bytes:
        """Return one ONNX file with all tensors in it. Raises BundleError."""
        return rewritten(self.data, lambda one: inline(self._bytes(one).data), where=self.where)

    def _bytes(self, one: Reference) -> NDArray[np.uint8]:
        found = self.weights[one.sha256]
        if found.nbytes != one.size:
            raise BundleError(
                f"the tensor {one.name!r} has {found.nbytes} bytes, and the graph says {one.size}",
                where=self.where,
                hint="copy the bundle again from where it was exported, or export it again",
            )
        return found
