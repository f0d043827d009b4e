"""Report: an explanation with a region of interest and a colour scale, as picture, record and files."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
from msgspec import UNSET

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import OutputError, SettingError
from gagrad_runtime.explanation.cautions import UNCALIBRATED
from gagrad_runtime.explanation.comparing import check_scale
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.report.full_size import full_map, full_overlay
from gagrad_runtime.report.naming import ENDINGS, free_stem, safe_stem, stem_of
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.record import encode, record_of
from gagrad_runtime.report.roi import check_limit, read_roi, roi_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import UnsetType
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.report.record_schema import Record
    from gagrad_runtime.report.roi import Roi


class Report:
    """An explanation as people and programs read it: the picture, the record, the files.

    ``roi`` is a region of interest or the path of its file: the report says how much of the map lies inside.
    ``roi_limit`` is the share, 0..1, that must lie inside: the report says PASS or FAIL. ``scale`` is what
    good parts reach, which fixes the colours of the picture; by default the explanation's own. ``part`` is
    the plant's name of the part, for the record.

    Raises RoiError for a region that does not fit the frame, SettingError for a limit out of range, a limit
    without a region, or a scale that was made for another bundle, method or target.
    """

    def __init__(
        self,
        explanation: Explanation,
        roi: Roi | str | Path | None = None,
        roi_limit: float | None = None,
        scale: GoodScale | None = None,
        *,
        part: str | UnsetType | None = UNSET,
    ) -> None:
        check_limit(roi_limit)
        if roi is None and roi_limit is not None:
            raise SettingError(
                "there is no region to judge by", where="roi_limit", hint="give the region with roi"
            )
        if isinstance(roi, (str, Path)):
            roi = read_roi(roi)
        if scale is not None:
            check_scale(scale, explanation)
            kept = tuple(one for one in explanation.cautions if one.code != UNCALIBRATED)
            explanation = replace(explanation, cautions=kept)
        self.explanation = explanation
        self.part = part
        """The plant's name of the part; None where a station found none, UNSET where nobody asked."""
        self.roi = None if roi is None else roi_result(explanation, roi, roi_limit)
        """Shares of the map inside and outside the region of interest; None without a region."""
        self.scale = scale or explanation.scale
        """What good parts' maps reach; None when the map scales itself."""

    def __repr__(self) -> str:
        roi = ""
        if self.roi is not None:
            outcome = {None: "", True: "PASS, ", False: "FAIL, "}[self.roi.passed]
            roi = f", {outcome}{share_text(self.roi.share)} in the region"
        scale = "" if self.scale is None else f", scale of {self.scale.images} good parts"
        return f"Report({self.explanation!r}{roi}{scale})"

    def picture(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 RGB [h, w, 3]: the frame, the map over it, the scale and the words."""
        return render(self.explanation, roi=self.roi, scale=self.scale)

    def png(self) -> bytes:
        """Return the picture as the bytes of a PNG file."""
        return encode_png(self.picture())

    def record(self, files: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """Return the record (docs/record.md); ``files`` are the paths that ``save`` returned."""
        made: dict[str, Any] = msgspec.to_builtins(self._record(files))
        return made

    def _record(self, files: Mapping[str, Path] | None = None) -> Record:
        return record_of(self.explanation, roi=self.roi, scale=self.scale, files=files, part=self.part)

    def save(
        self,
        directory: str | Path,
        *,
        stem: str | None = None,
        raw: tuple[str, ...] = ("png",),
        full: bool = False,
        replace: bool = False,
    ) -> dict[str, Path]:
        """Write the result files to ``directory`` and return their paths by kind.

        ``picture`` is the overlay, ``record`` the JSON record; ``raw`` asks for the bare map at the model's
        resolution: ``png`` (16-bit grey, 65535 is 1) and ``npy`` (float32 [H, W]). ``full`` asks for two more
        files at the frame's size: ``full``, the map over the frame, and ``full_map``, the bare map, 16-bit
        grey. The directory is made if it is missing. Nothing is written before everything is encoded, and
        the record comes last: where the record is, all its files are.

        Without ``stem`` the names are made of the frame's name, the target where the model says something
        else, and the method where it is not the default; files of another explanation stay, and the new ones
        get a number: ``part-2``. With ``stem`` the names are exactly that, and files of another explanation
        are an error. An explanation made again with the same frame, bundle and settings replaces its own
        files; ``replace`` replaces any.

        Raises SettingError for an unknown kind and OutputError when a file cannot be written or is in the
        way.
        """
        unknown = [kind for kind in raw if kind not in ("png", "npy")]
        if unknown:
            raise SettingError(
                f"there is no kind of raw map {unknown[0]!r}", where="raw", choices=("png", "npy")
            )
        folder = Path(directory)
        made = self._record()
        wanted = stem_of(self.explanation) if stem is None else safe_stem(stem)
        name = free_stem(folder, wanted, made, fixed=stem is not None, replace=replace)
        return self._write(folder, name, raw, full=full)

    def save_as(
        self,
        directory: str | Path,
        frame_name: str,
        *,
        raw: tuple[str, ...] = ("png",),
        full: bool = False,
        with_target: bool = False,
    ) -> dict[str, Path]:
        """Write the files like ``save``, with ``frame_name`` in their names instead of the frame's own name.

        Target, method and number follow ``frame_name`` as they follow the frame's name in ``save``.
        ``with_target`` adds the target also where the target is what the model predicts. Raises
        SettingError and OutputError like ``save``.
        """
        folder = Path(directory)
        made = self._record()
        wanted = stem_of(self.explanation, frame_name, with_target=with_target)
        name = free_stem(folder, wanted, made, fixed=False, replace=False)
        return self._write(folder, name, raw, full=full)

    def show(self) -> None:
        """Show the picture: in the notebook, else in the image viewer of the desktop.

        Raises OutputError where there is neither.
        """
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            display = ipython.display
            display.display(display.Image(data=self.png()))
            return
        from PIL import Image  # noqa: PLC0415 - only for the viewer
        from PIL.ImageShow import show  # noqa: PLC0415

        desktop = sys.platform in ("win32", "darwin") or any(
            os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
        )
        if not desktop or not show(Image.fromarray(self.picture())):
            raise OutputError(
                "there is neither a notebook nor an image viewer here",
                hint="write the picture to a file with save(directory)",
            )

    def _write(self, folder: Path, name: str, raw: tuple[str, ...], *, full: bool) -> dict[str, Path]:
        kinds = ("picture", *dict.fromkeys(raw), *(("full", "full_map") if full else ()), "record")
        paths = {kind: folder / (name + ENDINGS[kind]) for kind in kinds}
        data = {"picture": self.png()}
        if "png" in raw:
            data["png"] = encode_png(sixteen_bit_map(self.explanation.saliency))
        if "npy" in raw:
            data["npy"] = _encode_npy(self.explanation.saliency)
        if full:
            data["full"] = encode_png(full_overlay(self.explanation, self.scale), compression=1)
            data["full_map"] = encode_png(full_map(self.explanation), compression=1)
        data["record"] = encode(self._record(paths))
        make_folder(folder)
        for kind, path in paths.items():
            write_atomic(path, [data[kind]])
        return paths


def sixteen_bit_map(saliency: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return ``saliency [H, W]`` (0..1) as uint16, 65535 for 1; NaN and infinity become 0."""
    clean = np.nan_to_num(saliency.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.rint(np.clip(clean, 0, 1) * 65535).astype(np.uint16)


def encode_png(pixels: NDArray[Any], compression: int = 2) -> bytes:
    """Return ``pixels`` ([h, w] or [h, w, 3] RGB, uint8 or uint16) as a PNG without any time stamp.

    ``compression`` is from 1, fast, to 9, small.
    """
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    options = [cv2.IMWRITE_PNG_COMPRESSION, compression]
    if hasattr(cv2, "IMWRITE_PNG_FILTER_UP"):
        # Each row less the one above. To try all filters for each row took twice the time for a picture of
        # ours, and as many bytes; an older OpenCV does that.
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    done, data = cv2.imencode(".png", bgr, options)
    if not done:
        raise OutputError(f"a picture of {pixels.shape[1]}×{pixels.shape[0]} pixels cannot be encoded as PNG")
    return data.tobytes()


def _encode_npy(saliency: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(saliency, "<f4"), allow_pickle=False)
    return stream.getvalue()
