"""The tensors of a bundle by their hash: stored ones where they are, derived ones made when asked for."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.manifest import Derivation

    Bytes = NDArray[np.uint8]

_AGAIN = "copy the bundle again from where it was exported, or export it again"


class Weights:
    """Tensors by the SHA-256 of their bytes, as arrays of bytes.

    ``members`` are those of the bundle, ``derived`` is what its manifest says; ``where`` names it in errors.
    """

    def __init__(
        self, members: Mapping[str, Buffer], derived: Mapping[str, Derivation], *, where: str
    ) -> None:
        self._members, self._derived, self._where = members, derived, where

    def size(self, sha256: str) -> int:
        """Return the size of a tensor in bytes. Raises BundleError."""
        if sha256 not in self._derived:
            return len(self._stored(sha256))
        derivation = self._derived[sha256]
        sizes = map(len, _ranges(derivation))
        return math.prod(sizes) * np.dtype(derivation.dtype).itemsize

    def source(self, sha256: str) -> str:
        """Return the hash of the stored tensor that this one is, or is derived from."""
        return self._derived[sha256].source if sha256 in self._derived else sha256

    def __getitem__(self, sha256: str) -> Bytes:
        """Return the bytes of a tensor: a view of the bundle, or a new array. Raises BundleError.

        A derived one is not hashed again: its source was, and the manifest that says how it is made. See
        ``check``.
        """
        if sha256 not in self._derived:
            return np.frombuffer(self._stored(sha256), np.uint8)
        derivation = self._derived[sha256]
        source = self._stored(derivation.source)
        if len(source) != math.prod(derivation.view) * np.dtype(np.float32).itemsize:
            raise BundleError(
                f"the tensor {derivation.source} has another size than its derivation says",
                where=self._where,
                hint=_AGAIN,
            )
        return derive(np.frombuffer(source, np.float32), derivation)

    def check(self) -> None:
        """Make each derived tensor and compare its hash with its name. Raises BundleError."""
        for sha256 in self._derived:
            if hashlib.sha256(self[sha256].data).hexdigest() != sha256:
                raise BundleError(
                    f"the tensor {sha256} does not follow from {self.source(sha256)} as the manifest says",
                    where=self._where,
                    hint="export the model again; if that does not help, report the processor and the numpy "
                    "of this machine",
                )

    def _stored(self, sha256: str) -> Buffer:
        try:
            return self._members[WEIGHTS + sha256]
        except KeyError:
            raise BundleError(
                f"a graph refers to the tensor {sha256}, which is not in it", where=self._where, hint=_AGAIN
            ) from None


def derive(source: NDArray[np.float32], derivation: Derivation) -> Bytes:
    """Return the bytes of the tensor that ``derivation`` makes of ``source``."""
    view = derived_view(source, derivation)
    result = np.empty(view.shape, derivation.dtype)
    with np.errstate(over="ignore"):
        result[...] = view
    return result.reshape(-1).view(np.uint8)


def derived_view(source: NDArray[np.float32], derivation: Derivation) -> NDArray[np.float32]:
    """Return the numbers of ``source`` that ``derivation`` takes, in its order, where they are."""
    slices = tuple(map(_slice, derivation.begin, derivation.step))
    view: NDArray[np.float32] = source.reshape(derivation.view)[slices].transpose(derivation.axes)
    return view


def _slice(begin: int, step: int) -> slice:
    return slice(begin, None, step)


def _ranges(derivation: Derivation) -> list[range]:
    """Return the indices along each axis of the derivation's view."""
    each = zip(derivation.view, derivation.begin, derivation.step, strict=True)
    return [range(size)[_slice(begin, step)] for size, begin, step in each]
