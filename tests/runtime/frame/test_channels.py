"""Frames of channels that are no colours: from arrays, TIFF files of pages or bands, and .npy."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import FrameError
from gagrad_edge.input import InputSpec
from gagrad_runtime.frame import Frame, frame_for, load_frame
from gagrad_runtime.frame.decoding import endings
from gagrad_runtime.frame.image import prepare
from tests.channels import LIGHTS, lights, tiff

torch: Any = pytest.importorskip("torch")

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def spec_of(height: int = 24, width: int = 32, channels: int = 6, **fields: Any) -> InputSpec:
    names = [*LIGHTS, *map(str, range(10))][:channels]
    neutral: dict[str, Any] = {"mean": [0.0] * channels, "std": [1.0] * channels, "shown": [0]}
    return InputSpec(height=height, width=width, colour="channels", channel_names=names, **(neutral | fields))


def npy(array: NDArray[Any], *, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=True)
    return stream.getvalue()


def loaded(data: Any) -> Frame:
    return load_frame(data, colour="channels")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 16])
def test_every_form_gives_the_same_pixels(channels: int, kind: Any) -> None:
    """Array, tensor, .npy, pages and bands of TIFF, as they are stored; 1 channel is [H, W]."""
    frame = lights(channels=channels, kind=kind)
    planes = [frame[..., index] for index in range(channels)]
    forms: list[Any] = [frame, npy(frame), npy(np.asfortranarray(frame)), npy(frame, version=(2, 0))]
    forms += [tiff(*planes), tiff(frame), tiff(*planes, order=">")]
    for choice in ({"deflate": True}, {"order": ">"}, {"deflate": True, "differences": True, "order": ">"}):
        forms += [tiff(frame, **choice), tiff(frame, planar=True, **choice)]
    if channels > 4:  # with fewer a tensor's axes could be read both ways
        forms.append(torch.from_numpy(np.moveaxis(frame, -1, 0).astype(np.float32) / np.iinfo(kind).max))
    for form in forms:
        found = loaded(form)
        if isinstance(form, torch.Tensor):
            spec = spec_of(channels=channels)
            assert np.array_equal(prepare(found, spec)[0], prepare(loaded(frame), spec)[0])
            continue
        assert found.pixels.dtype == kind
        assert np.array_equal(found.pixels, frame[..., 0] if channels == 1 else frame)


def test_files_that_pillow_and_opencv_write(tmp_path: Path) -> None:
    """Pages of Pillow and of OpenCV are channels; so are RGB and transparency of a PNG."""
    frame = lights()
    pages = [Image.fromarray(frame[..., index].copy()) for index in range(6)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    wide = lights(kind=np.uint16)
    assert cv2.imwritemulti(str(tmp_path / "c.tif"), [wide[..., index].copy() for index in range(6)])
    assert np.array_equal(loaded(tmp_path / "p.tif").pixels, frame)
    assert np.array_equal(loaded(tmp_path / "c.tif").pixels, wide)
    colours = lights(channels=4)
    Image.fromarray(colours, "RGBA").save(tmp_path / "a.png")
    assert np.array_equal(loaded(tmp_path / "a.png").pixels, colours)
    assert np.array_equal(loaded(Image.fromarray(colours, "RGBA")).pixels, colours)
    deep = lights(channels=4, kind=np.uint16)
    cv2.imwrite(str(tmp_path / "d.png"), deep[..., [2, 1, 0, 3]])
    assert np.array_equal(loaded(tmp_path / "d.png").pixels, deep)


def test_two_colour_pages_are_a_stereo_pair(tmp_path: Path) -> None:
    """The colours of each page follow one another; a page that JPEG compresses is colours, too."""
    left, right = lights(channels=3), lights(channels=5)[..., :3]
    assert np.array_equal(loaded(tiff(left, right)).pixels, np.dstack([left, right]))
    smooth = np.full((24, 32, 3), 90, np.uint8)
    pages = [Image.fromarray(smooth), Image.fromarray(smooth)]
    pages[0].save(tmp_path / "j.tif", save_all=True, append_images=pages[1:], compression="jpeg")
    assert np.abs(loaded(tmp_path / "j.tif").pixels.astype(int) - 90).max() <= 1


def test_a_turned_page_is_upright() -> None:
    """Each page by its own orientation, said once."""
    frame = lights()
    found = loaded(tiff(*(frame[..., index] for index in range(6)), **{"274": 6}))
    assert np.array_equal(found.pixels, np.rot90(frame, -1))
    assert found.notes == ("EXIF orientation 6 applied",)
    found = loaded(tiff(frame, **{"274": 3}))
    assert np.array_equal(found.pixels, frame[::-1, ::-1])
    assert found.notes == ("EXIF orientation 3 applied",)


BAD = {
    "unsigned": tiff(lights(), **{"339": 2}),
    "compressed as colours": tiff(lights(), **{"259": 7}),
    "no grey levels": tiff(lights(), **{"262": 5}),
    "predictor is for floating": tiff(lights(), **{"317": 3}),
    "page 2 is 10 high, 32 wide": tiff(lights()[..., 0], lights(10)[..., 0]),
    "uint16, and page 1 is": tiff(lights()[..., 0], lights(kind=np.uint16)[..., 0]),
    "18 channels together": tiff(*[lights()[..., 0]] * 18),
    "more than 64 pages": tiff(*[lights(2, 2)[..., 0]] * 65),
    "cut short": tiff(lights())[:-40],
    "ends before its pixels": tiff(lights(), **{"279": 1 << 24}),
    "too large: 99000 high, 99000 wide": tiff(lights(), **{"256": 99000, "257": 99000}),
    "with 16 channels is 64": tiff(lights(channels=16), **{"256": 8000, "257": 8000}),
    "its header says 4608 bytes": npy(lights())[:-1],
    "says 4608 bytes of values, and it has 4609": npy(lights()) + b"x",
    "numpy file is no header": b"",
    "holds objects": npy(np.array([[{}]], object)),
    "holds datetime64": npy(np.zeros((4, 4), "M8[s]")),
    "shape is 2×24×32×6": npy(lights()[None].repeat(2, 0)),
    "is int16": npy(lights().astype(np.int16)),
    "floats reach from 0 to 2": npy(np.linspace(0, 2, 600, dtype=np.float32).reshape(10, 10, 6)),
    ".npy file is damaged": b"\x93NUMPY\x01\x00\x08\x00{'desc'\n",
    "format version 3": npy(lights()).replace(b"NUMPY\x01", b"NUMPY\x03"),
    "100000 wide is 10000 million": npy(lights(1, 1)).replace(b"(1, 1, 6)", b"(100000, 100000, 6)"),
    "1 to 16 channels": lights(channels=17),
    "channels last": np.moveaxis(lights(), -1, 0),
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_frame_has_a_clear_error(said: str) -> None:
    """What it is and what to do; nothing large is read, and no pickle."""
    data = BAD[said]
    if isinstance(data, bytes) and not data:
        data, said = b"\x93NUMPY", "damaged"
    with pytest.raises(FrameError, match=None) as caught:
        loaded(data)
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_pickle_is_not_run() -> None:
    """An array of objects is refused by its header."""
    body = npy(np.zeros((2, 2), np.uint8)).replace(b"'|u1'", b"'|O' ")
    with pytest.raises(FrameError, match="holds objects"):
        loaded(body[:128] + pickle.dumps(print))


@pytest.mark.parametrize("fields", [{}, {"semantics": "pil", "interpolation": "linear", "antialias": True}])
@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_each_channel_is_fitted_by_itself(resize: Any, fields: dict[str, Any]) -> None:
    """The image of six channels is that of each channel as a grey frame, padded and cut alike."""
    frame = lights(40, 90, kind=np.uint16)
    image, placement = prepare(loaded(frame), spec_of(resize=resize, **fields))
    grey = InputSpec(height=24, width=32, colour="mono", mean=[0.0], std=[1.0], resize=resize, **fields)
    assert image.shape == (1, 6, 24, 32)
    for index in range(6):
        alone, placed = prepare(load_frame(frame[..., index]), grey)
        assert np.array_equal(image[0, index], alone[0, 0])
        assert placed == placement


def test_another_number_of_channels_is_said() -> None:
    """Which the frame has and which the model needs, by name, both ways."""
    with pytest.raises(
        FrameError, match=r"has 3 channels, and the model needs 6 \(top, left, right"
    ) as caught:
        prepare(loaded(lights(channels=3)), spec_of())
    assert "TIFF file of 6 pages or bands" in (caught.value.hint or "")
    with pytest.raises(FrameError, match="has 1 channel, and the model needs 6"):
        prepare(load_frame(tiff(*(lights()[..., index] for index in range(6)))), spec_of())
    colour = InputSpec(height=24, width=32, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)
    with pytest.raises(FrameError, match="has 6 channels, and the model needs 3"):
        prepare(loaded(lights()), colour)
    with pytest.raises(FrameError, match="the file has 6 channels, and a colour or grey frame has 3 or 1"):
        load_frame(tiff(lights()))
    with pytest.raises(FrameError, match="24×32×6; a frame is height×width, or height×width×3"):
        load_frame(lights())


def test_the_shown_channels() -> None:
    """One is grey, three are red, green and blue; a frame without a model shows its first."""
    frame = lights()
    assert np.array_equal(frame_for(spec_of(shown=[4]), frame).picture, frame[..., 4])
    assert np.array_equal(frame_for(spec_of(shown=[5, 0, 2]), frame).picture, frame[..., [5, 0, 2]])
    assert frame_for(spec_of(shown=[5, 0, 2]), frame).shown == {5: "back", 0: "top", 2: "right"}
    assert np.array_equal(loaded(frame).picture, frame[..., 0])
    again = frame_for(spec_of(shown=[1]), loaded(frame))
    assert np.array_equal(again.picture, frame[..., 1])
    assert repr(again) == "Frame('array', 24 high, 32 wide, uint8 6 channels)"


def test_files_of_numpy_are_frames_where_channels_are_no_colours() -> None:
    """A folder of colour images may hold maps and masks as .npy, which are no frames."""
    colour = InputSpec(height=24, width=32, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)
    assert ".npy" in endings(spec_of())
    assert ".npy" not in endings(colour)
    assert ".npy" not in endings(None)


def test_a_colour_frame_in_numpys_file() -> None:
    """By its path it is read like an array, for any model."""
    frame = lights(channels=3)
    assert np.array_equal(load_frame(npy(frame)).pixels, frame)
    assert np.array_equal(load_frame(npy(frame[..., 0])).pixels, frame[..., 0])
