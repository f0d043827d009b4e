"""What may come in as a frame, and what is refused with which words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame import frame as frame_file
from gagrad_runtime.frame import load_frame

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray


def test_an_array_is_copied_and_read_only(part: NDArray[np.uint8]) -> None:
    """The camera may reuse its buffer; nobody can change a frame."""
    buffer = part.copy()
    frame = load_frame(buffer)
    buffer[:] = 0
    np.testing.assert_array_equal(frame.pixels, part)
    assert frame.source == frame.name == "array"
    with pytest.raises(ValueError, match="read-only"):
        frame.pixels[0] = 1


def test_arrays_of_one_and_four_channels(part: NDArray[np.uint8]) -> None:
    """[H, W, 1] is mono; [H, W, 4] follows the same rule as files."""
    assert load_frame(part[..., :1]).pixels.shape == part.shape[:2]
    rgba = np.concatenate([part, np.zeros_like(part[..., :1])], axis=2)
    np.testing.assert_array_equal(load_frame(rgba).pixels, part)
    assert load_frame(rgba).notes == ("transparency dropped",)
    big_endian = part.astype(">u2")
    assert load_frame(big_endian).pixels.dtype == np.dtype(np.uint16).newbyteorder("=")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 4), 200, np.float32), r"from 200 to 200; .*\n.*divide it by 255"),
        (np.full((4, 4), 4095.0), r"from 4095 to 4095; .*\n.*divide it by 65535"),
        (np.full((4, 4), -1.5, np.float16), r"from -1.5 to -1.5; .*\n.*before it is normalised"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
        (np.full((4, 4), np.inf), "infinity"),
        (np.full((4, 4), 1j), "complex128"),
        (np.zeros((4, 4), bool), r"bool.*\n.*uint8"),
        (np.zeros((4, 4), np.int64), r"int64.*\n.*astype"),
        (np.zeros(4, np.uint8), "shape is 4;"),
        (np.zeros((3, 4, 5), np.uint8), r"3×4×5.*\n.*channels last"),
        (np.zeros((1, 4, 4, 3), np.uint8), "one frame at a time"),
        (np.zeros((0, 4), np.uint8), "empty"),
    ],
)
def test_an_array_that_is_no_frame_is_refused_with_its_mend(array: NDArray[Any], words: str) -> None:
    """The message says what the array is, what a frame is and how to get there."""
    with pytest.raises(FrameError, match=words):
        load_frame(array)


def test_only_paths_and_arrays_are_frames() -> None:
    """Anything else is an input error and no AttributeError from within."""
    with pytest.raises(FrameError, match="not list"):
        load_frame([[1, 2]])  # type: ignore[arg-type]


def test_places_that_are_no_files(tmp_path: Path) -> None:
    """Missing, a folder, a pipe: each has its own sentence, and the pipe does not make it wait."""
    os.mkfifo(tmp_path / "pipe.png")
    cases = {
        tmp_path / "no.png": "no such file",
        tmp_path: "folder",
        tmp_path / "pipe.png": "pipe or a device",
        tmp_path / "no" / "no.png": "does not exist either",
        tmp_path / ("x" * 300): "cannot be read",
        "a\0b.png": "cannot be read",
        "/dev/zero": "pipe or a device",
    }
    for source, words in cases.items():
        with pytest.raises(FrameError, match=words):
            load_frame(source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """The message says that it is about permission."""
    path = tmp_path / "secret.png"
    Image.fromarray(part).save(path)
    path.chmod(0)
    with pytest.raises(FrameError, match="may not read"):
        load_frame(path)


def test_permission_is_named_as_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a second user to try it with."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FrameError, match="may not read"):
        load_frame(tmp_path / "secret.png")


def test_a_file_with_too_many_bytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is looked at before the content."""
    monkeypatch.setattr(frame_file, "MAX_FILE_BYTES", 2**20)
    (tmp_path / "big.png").write_bytes(bytes(2**20 + 1))
    with pytest.raises(FrameError, match="larger than 1 MiB"):
        load_frame(tmp_path / "big.png")


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """Linux allows any bytes in a file name."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/part\xff.png")
    Image.fromarray(part).save(path)
    frame = load_frame(path)
    assert frame.source == path
    assert frame.name == "part?.png"
