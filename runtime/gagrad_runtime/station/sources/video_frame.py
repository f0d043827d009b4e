"""A frame that FFmpeg decoded, as a ``Frame``: 8-bit, mono or colour, upright."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import FrameError, MissingPackageError
from gagrad_runtime.frame import Frame, load_frame
from gagrad_runtime.frame.decoding import check_size

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PictureArrival:
    """A frame of a stream, which exists in memory only."""

    name: str
    picture: Frame
    path: Path | None = None

    def sha256(self) -> str:
        """Return the SHA-256 of the frame's shape and pixels."""
        shape = "x".join(map(str, self.picture.pixels.shape)).encode()
        return hashlib.sha256(shape + self.picture.pixels.tobytes()).hexdigest()

    def frame(self) -> Frame:
        """Return the frame."""
        return self.picture


def library() -> Any:
    """Return the package ``av``. Raises MissingPackageError."""
    try:
        import av  # noqa: PLC0415 - of the extra `video`
    except ImportError as error:
        hint = 'pip install "gagrad-edge[video]"'
        raise MissingPackageError(f"video and cameras need PyAV ({error})", hint=hint) from error
    return av


def picture_of(decoded: Any, name: str) -> Frame:
    """Return PyAV's frame ``decoded`` as a Frame named ``name``. Raises FrameError unless it has 8 bits."""
    check_size(decoded.width, decoded.height, where=name)
    kind = decoded.format
    depth = max(component.bits for component in kind.components)
    if depth > 8 or kind.name.startswith("bayer"):
        what = f"{depth}-bit video" if depth > 8 else "raw Bayer video"
        raise FrameError(
            f"the source gives {what} ({kind.name}), which is not taken",
            where=name,
            hint="set the camera to 8 bits, mono or colour; save single images where more bits matter",
        )
    mono = kind.name.startswith("gray") or (len(kind.components) == 1 and kind.name != "pal8")
    pixels: NDArray[np.uint8] = decoded.to_ndarray(format="gray" if mono else "rgb24")
    notes: tuple[str, ...] = ()
    if turned := round(getattr(decoded, "rotation", 0) / 90) % 4:
        pixels, notes = np.rot90(pixels, turned), (f"the stream's rotation of {turned * 90}° applied",)
    return replace(load_frame(np.ascontiguousarray(pixels)), source=name, notes=notes)
