"""The forms in which a frame is taken: each gives the pixels that the file gives."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import FrameError, SettingError
from gagrad_edge.input import InputSpec
from gagrad_runtime import load_frame
from gagrad_runtime.frame.image import prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")


class Dlpack:
    """A tensor of a library that is not torch: it speaks DLPack and nothing else."""

    def __init__(self, array: NDArray[Any], device: int = 1) -> None:
        self._array, self._device = array, device

    def __dlpack__(self, **_: object) -> object:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device, 0


def file(part: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(part).save(stream, "PNG")
    return stream.getvalue()


FORMS: dict[str, Callable[[NDArray[np.uint8]], Any]] = {
    "bytes": file,
    "bytearray": lambda part: bytearray(file(part)),
    "memoryview": lambda part: memoryview(file(part)),
    "numpy": lambda part: part,
    "numpy, not contiguous": lambda part: np.repeat(part, 2, axis=1)[:, ::2],
    "PIL image": Image.fromarray,
    "PIL image from a file": lambda part: Image.open(io.BytesIO(file(part))),
    "torch [H, W, 3]": lambda part: torch.from_numpy(part.copy()),
    "torch [3, H, W]": lambda part: torch.from_numpy(part.copy()).permute(2, 0, 1),
    "torch float [3, H, W]": lambda part: torch.from_numpy(part.copy()).permute(2, 0, 1).float() / 255,
    "float32 0..1": lambda part: part.astype(np.float32) / 255,
    "float64 0..1": lambda part: part / 255,
    "other DLPack": lambda part: Dlpack(part.copy()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_pixels_of_the_file(part: NDArray[np.uint8], form: str, tmp_path: Path) -> None:
    """The same part gives the same pixels, whichever way it was handed in."""
    (tmp_path / "part.png").write_bytes(file(part))
    expected = load_frame(tmp_path / "part.png")
    frame = load_frame(FORMS[form](part))
    assert frame.pixels.dtype == np.uint8
    np.testing.assert_array_equal(frame.pixels, expected.pixels)
    assert frame.sha256 == expected.sha256
    assert frame.source == "array"


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (1, 6, 8)])
def test_mono_tensors(shape: tuple[int, ...]) -> None:
    """One channel, in front or behind or left out, is mono."""
    values = np.arange(48, dtype=np.uint8)
    np.testing.assert_array_equal(
        load_frame(torch.from_numpy(values).reshape(shape)).pixels, values.reshape(6, 8)
    )


def test_the_order_of_colours_of_an_array(part: NDArray[np.uint8], tmp_path: Path) -> None:
    """``colour="bgr"`` is for what cv2.imread returns, also with transparency, and leaves mono as it is."""
    (tmp_path / "part.png").write_bytes(file(part))
    bgr = cv2.imread(str(tmp_path / "part.png"))
    assert bgr is not None
    np.testing.assert_array_equal(load_frame(bgr, colour="bgr").pixels, part)
    bgra = cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA)
    np.testing.assert_array_equal(load_frame(bgra, colour="bgr").pixels, part)
    np.testing.assert_array_equal(load_frame(part[..., 0], colour="bgr").pixels, part[..., 0])


def test_a_colour_order_that_does_not_apply_is_refused(part: NDArray[np.uint8]) -> None:
    """A file says itself what its channels are; a wrong name lists the right ones."""
    for source in ("part.png", file(part), Image.fromarray(part), load_frame(part)):
        with pytest.raises(SettingError, match=r"colour: .* is known for files"):
            load_frame(source, colour="bgr")
    with pytest.raises(SettingError, match="'BGR'") as caught:
        load_frame(part, colour="BGR")  # type: ignore[arg-type]
    assert caught.value.choices == ("rgb", "bgr", "channels")


def test_finer_floats_keep_their_values(input_spec: Callable[..., InputSpec]) -> None:
    """Floats between the 255ths become 16 bits with a white of their own, whatever the bundle's bit depth."""
    values = np.random.default_rng(0).random((24, 32, 3)).astype(np.float32)
    frame = load_frame(values)
    assert frame.pixels.dtype == np.uint16
    image, _ = prepare(frame, input_spec(24, 32, bit_depth=12))
    np.testing.assert_allclose(image[0].transpose(1, 2, 0), values, atol=1e-5)


def test_a_shape_that_can_be_read_both_ways_is_refused() -> None:
    """A tensor [3, 8, 3] may be channels first or last: the error says how to tell."""
    with pytest.raises(FrameError, match=r"3×8×3 may be .*\n.*permute"):
        load_frame(torch.zeros(3, 8, 3, dtype=torch.uint8))
    with pytest.raises(FrameError, match="one frame at a time"):
        load_frame(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_tensors_that_cannot_be_read_say_what_to_do() -> None:
    """Not on the CPU, part of a gradient, or of a type that is no grey level."""
    with pytest.raises(FrameError, match=r"not in the CPU's memory\n.*cpu\(\)"):
        load_frame(Dlpack(np.zeros((4, 4), np.uint8), device=2))
    with pytest.raises(FrameError, match=r"cannot be read .*\n.*detach"):
        load_frame(torch.zeros(4, 4, requires_grad=True))
    with pytest.raises(FrameError, match="cannot be read"):
        load_frame(torch.zeros(4, 4, dtype=torch.bfloat16))
    with pytest.raises(FrameError, match="int64"):
        load_frame(torch.zeros(4, 4, dtype=torch.int64))


def test_a_pil_image_is_upright_and_names_its_file(part: NDArray[np.uint8], tmp_path: Path) -> None:
    """EXIF orientation is applied as for the path, and the caller's image stays as it was."""
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(part).save(path, exif=exif)
    with Image.open(path) as opened:
        frame = load_frame(opened)
        assert opened.size == part.shape[1::-1]
    expected = load_frame(path)
    np.testing.assert_array_equal(frame.pixels, expected.pixels)
    assert frame.notes == expected.notes == ("EXIF orientation 6 applied",)
    assert frame.source == str(path)


def test_pil_images_that_are_no_frame() -> None:
    """Floats and 32-bit integers have no white that is known; a closed file cannot be read."""
    for mode in ("F", "I"):
        with pytest.raises(FrameError, match="cannot be used as a frame"):
            load_frame(Image.new(mode, (4, 4)))
    with pytest.raises(FrameError, match="no pixels"):
        load_frame(Image.new("L", (0, 4)))


def test_other_things_are_refused_with_the_forms() -> None:
    """The error lists every form that is taken."""
    with pytest.raises(FrameError, match="not list") as caught:
        load_frame([[1, 2]])  # type: ignore[arg-type]
    assert "torch" in " ".join(caught.value.choices)
    with pytest.raises(FrameError, match="no bytes"):
        load_frame(b"")
    with pytest.raises(FrameError, match="content is no image"):
        load_frame(b"no picture at all")


def test_a_name_for_a_frame_without_one(part: NDArray[np.uint8]) -> None:
    """The name stands where the path would: in messages, in the record, in the files' names."""
    assert load_frame(part, name="part-0042.png").name == "part-0042.png"
    with pytest.raises(FrameError, match=r"^part-0042: "):
        load_frame(np.zeros((0, 4), np.uint8), name="part-0042")


def test_a_tensor_is_read_without_torch(part: NDArray[np.uint8]) -> None:
    """Any DLPack object will do: torch is not imported for it."""
    code = (
        "import sys, numpy, gagrad_runtime\n"
        "class Tensor:\n"
        "    def __init__(self, array): self.array = array\n"
        "    def __dlpack__(self, **_): return self.array.__dlpack__()\n"
        "    def __dlpack_device__(self): return (1, 0)\n"
        "frame = gagrad_runtime.load_frame(Tensor(numpy.zeros((3, 4, 5), numpy.uint8)))\n"
        "print(frame.pixels.shape, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(4, 5, 3) False"
