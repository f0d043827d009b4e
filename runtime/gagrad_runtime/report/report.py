"""The files that an explanation leaves behind."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import OutputError, SettingError
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.record import encode, record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

ENDINGS = {"picture": ".explained.png", "record": ".json", "png": ".saliency.png", "npy": ".saliency.npy"}
"""What follows the stem, by kind."""

_STEM_BYTES = 180
"""File systems allow 255 bytes; the endings and the temporary file's name need up to 40."""


def save_results(
    explanation: Explanation,
    directory: str | Path,
    *,
    stem: str | None = None,
    raw: tuple[str, ...] = ("png",),
) -> dict[str, Path]:
    """Write the result files of ``explanation`` to ``directory`` and return their paths by kind.

    ``picture`` is the overlay, ``record`` the JSON record; ``raw`` asks for the bare map at the model's
    resolution: ``png`` (16-bit grey, 65535 is 1) and ``npy`` (float32 [H, W]). The directory is made if it
    is missing. Nothing is written before everything is encoded, and the record comes last: where it is, all
    its files are.
    Raises SettingError for an unknown kind and OutputError when a file cannot be written.
    """
    unknown = [kind for kind in raw if kind not in ("png", "npy")]
    if unknown:
        raise SettingError(f"no such kind of raw map: {unknown[0]!r}", choices=("png", "npy"))
    folder = Path(directory)
    name = safe_stem(explanation.frame.name if stem is None else stem, ending=stem is None)
    kinds = ("picture", *dict.fromkeys(raw), "record")
    paths = {kind: folder / (name + ENDINGS[kind]) for kind in kinds}
    data = {"picture": encode_png(render(explanation))}
    if "png" in raw:
        data["png"] = encode_png(sixteen_bit_map(explanation.saliency))
    if "npy" in raw:
        data["npy"] = _encode_npy(explanation.saliency)
    data["record"] = encode(record(explanation, paths))
    make_folder(folder)
    for kind, path in paths.items():
        write_atomic(path, [data[kind]])
    return paths


def safe_stem(name: str, *, ending: bool = False) -> str:
    """Return ``name`` as the beginning of a file name: no folders, no leading dot, no odd characters.

    Letters of any script stay. ``ending`` says that ``name`` has one (``.png``), which is dropped.
    """
    plain = re.split(r"[/\\]", name)[-1]
    plain = Path(plain).stem if ending else plain
    plain = re.sub(r"[^\w.()+,=@ -]", "_", plain).strip(" .")
    while len(plain.encode()) > _STEM_BYTES:
        plain = plain[:-1]
    return plain.rstrip(" .") or "frame"


def sixteen_bit_map(saliency: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return ``saliency [H, W]`` (0..1) as uint16, 65535 for 1; what is no number becomes 0."""
    clean = np.nan_to_num(saliency.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.rint(np.clip(clean, 0, 1) * 65535).astype(np.uint16)


def encode_png(pixels: NDArray[Any]) -> bytes:
    """Return ``pixels`` ([h, w] or [h, w, 3] RGB, uint8 or uint16) as a PNG without any time stamp."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise OutputError(f"a picture of {pixels.shape[1]}×{pixels.shape[0]} pixels cannot be encoded as PNG")
    return data.tobytes()


def _encode_npy(saliency: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(saliency, "<f4"), allow_pickle=False)
    return stream.getvalue()
