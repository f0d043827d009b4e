"""TIFF files of several pages or bands, cut into grey and colour pages that Pillow reads.

Pillow reads the first page, and of several bands only those that look like colours; OpenCV reads at most four
bands. But Pillow decodes one grey image of any compression. So each page becomes a file of its own, and its
bands become grey images: one of W·N columns where the N samples of a pixel lie side by side, N images where
the bands lie one after the other (planar). Only directories are written anew.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

MAX_PAGES = 64
"""Most pages that are counted; a frame of more channels than a model can have is refused either way."""
MAX_ENTRIES = 4096
"""Entries of a directory; TIFF and EXIF together define a few hundred."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _FORMAT, _ORIENTATION = 322, 323, 324, 325, 339, 274

_BYTEWISE = (1, 5, 8, 32946, 32773, 34925, 50000)
"""Compressions that do not know what a pixel is: none, LZW, deflate (two numbers), packbits, LZMA, zstd."""
_WHITE_IS_0, _GREY, _RGB, _PALETTE, _YCBCR, _COLOUR_MAP, _EXIF_DIRECTORY = 0, 1, 2, 3, 6, 320, 34665
_EXTRA, _MULTIPLIED, _TRANSPARENT = 338, 1, 2
_JPEG = (6, 7)
"""Compressions by JPEG, the old and the new form."""
_READ = frozenset(
    (
        *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIPS, _SAMPLES, _STRIP_ROWS),
        *(_STRIP_BYTES, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _FORMAT),
        *(_ORIENTATION, _COLOUR_MAP, _EXIF_DIRECTORY, _EXTRA),
    )
)
"""Tags whose values are needed."""
_DIFFERENCES = 2
"""Predictor: each sample is stored as its difference from the same sample of the pixel before."""
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of a value by the number of its field type."""
_CLASSIC, _BIG = 42, 43


class _Layout(NamedTuple):
    """Field formats of classic TIFF or BigTIFF, in the file's byte order."""

    order: str
    pointer: str
    length: str
    inline: int
    """Bytes of a value that stands in its entry."""
    start: int
    """Offset of the pointer to the first directory."""

    @property
    def entry(self) -> str:
        """Format of tag, type and count."""
        return f"{self.order}HH{self.pointer}"


@dataclass(frozen=True)
class Page:
    """One page of a TIFF file."""

    file: bytes
    """The whole file."""
    offset: int
    """Where the page's directory begins."""
    tags: Mapping[int, tuple[int, ...]]
    """Whole numbers of the directory, by tag."""

    def tag(self, number: int, default: int) -> int:
        """Return the first value of a tag."""
        return self.tags.get(number, (default,))[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.tag(_WIDTH, 0)

    @property
    def height(self) -> int:
        """Rows."""
        return self.tag(_HEIGHT, 0)

    @property
    def samples(self) -> int:
        """Values of a pixel: bands, colours, transparency."""
        return self.tag(_SAMPLES, 1)

    @property
    def orientation(self) -> int:
        """EXIF orientation."""
        return self.tag(_ORIENTATION, 1)

    @property
    def bits(self) -> tuple[int, ...]:
        """Bits of each value of a pixel."""
        return self.tags.get(_BITS, (1,))

    @property
    def formats(self) -> tuple[int, ...]:
        """What the values of a pixel are: 1 unsigned, 2 signed, 3 floats, 4 nothing that is said."""
        return self.tags.get(_FORMAT, (1,))

    @property
    def photometric(self) -> int:
        """What the values mean: 0 and 1 grey, 2 red, green, blue, 3 a palette, and so on."""
        return self.tag(_PHOTOMETRIC, _GREY)

    @property
    def planar(self) -> bool:
        """Whether bands lie one after the other."""
        return self.tag(_PLANAR, 1) == 2

    @property
    def multiplied(self) -> bool:
        """Whether the colours are multiplied by their transparency."""
        return _MULTIPLIED in self.tags.get(_EXTRA, ())

    @property
    def unstated(self) -> bool:
        """Whether each grey level has a second value that the file does not call transparency."""
        grey = self.photometric in (_WHITE_IS_0, _GREY) and self.samples == 2
        return grey and self.tags.get(_EXTRA, ()) != (_TRANSPARENT,) and not self.multiplied

    @property
    def plain_luma(self) -> bool:
        """Whether the pixels are luma and colour differences without JPEG compression."""
        return self.photometric == _YCBCR and self.tag(_COMPRESSION, 1) not in _JPEG

    @property
    def parts(self) -> tuple[int, int]:
        """Number of strips and number of tiles."""
        return len(self.tags.get(_STRIPS, ())), len(self.tags.get(_TILES, ()))

    @property
    def tile(self) -> tuple[int, int] | None:
        """Columns and rows of a tile; None for strips."""
        if _TILES not in self.tags and _TILE_WIDTH not in self.tags:
            return None
        return self.tag(_TILE_WIDTH, 0), self.tag(_TILE_HEIGHT, 0)

    @property
    def wide_planes(self) -> bool:
        """Whether these are 16-bit colours, band after band, which OpenCV does not read."""
        return (
            (self.samples, self.tag(_PLANAR, 1), self.tag(_PHOTOMETRIC, _GREY)) == (3, 2, _RGB)
            and set(self.tags.get(_BITS, ())) == {16}
            and self.trouble() is None
        )

    @property
    def narrow_palette(self) -> bool:
        """Whether a palette holds values of 8 bits, where TIFF has 16.

        Some readers show its colours, others black.
        """
        values = self.tags.get(_COLOUR_MAP, ())
        return self.tag(_PHOTOMETRIC, _GREY) == _PALETTE and 0 < max(values, default=0) < 256

    def alone(self) -> bytes:
        """Return the file with this page as its first."""
        return _pointing(self.file, self.offset)

    def trouble(self) -> str | None:
        """Return why the bands cannot be read as they are stored; None where they can."""
        bits, formats = set(self.tags.get(_BITS, (1,))), set(self.tags.get(_FORMAT, (1,)))
        if self.tag(_COMPRESSION, 1) not in _BYTEWISE:
            number = self.tag(_COMPRESSION, 1)
            return f"its {self.samples} bands are compressed as colours (compression {number})"
        if self.tag(_PHOTOMETRIC, _GREY) not in (_GREY, _RGB):
            return (
                f"its {self.samples} bands are no grey levels (photometric {self.tag(_PHOTOMETRIC, _GREY)})"
            )
        if formats != {1} or not bits <= {8, 16} or len(bits) != 1:
            return f"its {self.samples} bands are not all unsigned with 8 or with 16 bits"
        if self.tag(_PREDICTOR, 1) not in (1, _DIFFERENCES):
            return "its predictor is for floating-point values"
        return None

    def bands(self, decode: Callable[[bytes], NDArray[Any]]) -> NDArray[Any]:
        """Return the bands as [H, W, samples]; ``decode`` returns the pixels [h, w] of a grey TIFF file.

        Raises ValueError, and what ``decode`` raises.
        """
        offsets, lengths = self._extents()
        if self.tag(_PLANAR, 1) == 1:
            rows = decode(self._grey(self.samples, offsets, lengths, predictor=1))
            if rows.shape != (self.height, self.width * self.samples):
                raise ValueError("its bands are not as wide as its directory says")
            pixels = rows.reshape(self.height, self.width, self.samples)
            if self.tag(_PREDICTOR, 1) == _DIFFERENCES:
                pixels = self._summed(pixels)
            return pixels
        each, left = divmod(len(offsets), self.samples)
        if left or len(offsets) != len(lengths):
            raise ValueError("its bands have not as many parts each")
        planes = [
            decode(
                self._grey(
                    1, offsets[start : start + each], lengths[start : start + each], self.tag(_PREDICTOR, 1)
                )
            )
            for start in range(0, len(offsets), each)
        ]
        return np.stack(planes, axis=2)

    def _extents(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return offsets and byte counts of the strips or tiles. Raises ValueError where there are none."""
        for offsets, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
            if offsets in self.tags and lengths in self.tags:
                return self.tags[offsets], self.tags[lengths]
        raise ValueError("its directory names no pixels")

    def _summed(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return differences [H, W, N] as values; each tile begins anew."""
        columns = self.tag(_TILE_WIDTH, self.width) if _TILES in self.tags else self.width
        parts = [
            np.add.accumulate(pixels[:, start : start + columns], axis=1, dtype=pixels.dtype)
            for start in range(0, self.width, columns)
        ]
        return np.concatenate(parts, axis=1)

    def _grey(self, wider: int, offsets: tuple[int, ...], lengths: tuple[int, ...], predictor: int) -> bytes:
        """Return the file with a first page of one band, ``wider`` times as wide, in these parts."""
        tags: dict[int, tuple[int, ...]] = {
            _WIDTH: (self.width * wider,),
            _HEIGHT: (self.height,),
            _BITS: (self.tag(_BITS, 8),),
            _COMPRESSION: (self.tag(_COMPRESSION, 1),),
            _PHOTOMETRIC: (_GREY,),
            _FILL_ORDER: (self.tag(_FILL_ORDER, 1),),
            _SAMPLES: (1,),
            _PREDICTOR: (predictor,),
        }
        if _TILES in self.tags:
            tags |= {_TILE_WIDTH: (self.tag(_TILE_WIDTH, 0) * wider,), _TILE_HEIGHT: self.tags[_TILE_HEIGHT]}
            tags |= {_TILES: offsets, _TILE_BYTES: lengths}
        else:
            rows = min(self.tag(_STRIP_ROWS, self.height), self.height)
            tags |= {_STRIP_ROWS: (rows,), _STRIPS: offsets, _STRIP_BYTES: lengths}
        return _with_directory(self.file, tags)


def first_page(file: bytes) -> Page:
    """Return the first page of the TIFF ``file``. Raises as ``pages``."""
    layout = _layout(file)
    (at,) = struct.unpack_from(layout.order + layout.pointer, file, layout.start)
    return Page(file, at, _directory(file, at, layout)[0])


def pages(file: bytes) -> list[Page]:
    """Return the pages of the TIFF ``file`` in order. Raises ValueError where a directory is damaged.

    struct.error and LookupError mean damage too.
    """
    layout = _layout(file)
    found: list[Page] = []
    for at in _offsets(file, layout):
        if len(found) == MAX_PAGES:
            raise ValueError(f"it has more than {MAX_PAGES} pages")
        found.append(Page(file, at, _directory(file, at, layout)[0]))
    return found


def count_pages(file: bytes) -> int:
    """Return the number of pages, at most MAX_PAGES + 1. Raises as ``pages``."""
    return sum(1 for _ in itertools.islice(_offsets(file, _layout(file)), MAX_PAGES + 1))


def check_directories(file: bytes) -> None:
    """Raise ValueError when a reader of the first directory, and its EXIF, would copy far more than there is.

    Readers copy the value of each entry, and thousands of entries may name the same megabytes. ``file`` is a
    TIFF file, or EXIF, which has the same form. struct.error means damage.
    """
    layout = _layout(file)
    (at,) = struct.unpack_from(layout.order + layout.pointer, file, layout.start)
    tags, _ = _directory(file, at, layout, lenient=True)
    if exif := tags.get(_EXIF_DIRECTORY):
        _directory(file, exif[0], layout, lenient=True)


def _offsets(file: bytes, layout: _Layout) -> Iterator[int]:
    """Give the offset of each directory. Raises as ``pages``."""
    (at,) = struct.unpack_from(layout.order + layout.pointer, file, layout.start)
    seen: set[int] = set()
    while at:
        if at in seen:
            raise ValueError("its directories go round in a circle")
        seen.add(at)
        yield at
        (entries,) = struct.unpack_from(layout.order + layout.length, file, at)
        step = struct.calcsize(layout.entry) + layout.inline
        at += struct.calcsize(layout.order + layout.length) + entries * step
        if at + layout.inline > len(file):
            raise ValueError("its directory is cut off")
        (at,) = struct.unpack_from(layout.order + layout.pointer, file, at)


def _layout(file: bytes) -> _Layout:
    order = "<" if file.startswith(b"II") else ">"
    (magic,) = struct.unpack_from(f"{order}H", file, 2)
    return _Layout(order, "Q", "Q", 8, 8) if magic == _BIG else _Layout(order, "I", "H", 4, 4)


def _directory(
    file: bytes, at: int, layout: _Layout, *, lenient: bool = False
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Return what is needed of the directory at ``at`` by tag, and the offset of the next, 0 for none.

    ``lenient`` leaves out values that are cut off.
    """
    (entries,) = struct.unpack_from(layout.order + layout.length, file, at)
    at += struct.calcsize(layout.order + layout.length)
    step = struct.calcsize(layout.entry) + layout.inline
    if entries > MAX_ENTRIES:
        raise ValueError(f"its directory has {entries} entries")
    if at + entries * step + layout.inline > len(file):
        raise (struct.error if lenient else ValueError)("its directory is cut off")
    tags: dict[int, tuple[int, ...]] = {}
    total = 0
    for place in range(at, at + entries * step, step):
        number, kind, count = struct.unpack_from(layout.entry, file, place)
        where, size = place + step - layout.inline, count * _BYTES.get(kind, 0)
        if size > layout.inline:
            (where,) = struct.unpack_from(layout.order + layout.pointer, file, where)
            total += min(size, len(file))
        if total > 2 * len(file):
            raise ValueError(f"its directory names more values than its {len(file)} bytes hold")
        if kind not in _FORMATS or count < 1 or number not in _READ:
            continue
        if where + size > len(file):
            if lenient:
                continue
            raise ValueError("a value of its directory is cut off")
        tags[number] = struct.unpack_from(f"{layout.order}{count}{_FORMATS[kind]}", file, where)
    (following,) = struct.unpack_from(layout.order + layout.pointer, file, at + entries * step)
    return tags, following


def _pointing(file: bytes, offset: int) -> bytes:
    """Return the file with its first directory at ``offset``."""
    layout = _layout(file)
    pointer = struct.pack(layout.order + layout.pointer, offset)
    return b"".join((file[: layout.start], pointer, file[layout.start + len(pointer) :]))


def _with_directory(file: bytes, tags: Mapping[int, tuple[int, ...]]) -> bytes:
    """Return the file with a directory of ``tags`` at its end, and that one as its first.

    The result is a classic TIFF also where ``file`` is a BigTIFF, of which Pillow reads one byte order only.
    """
    order = _layout(file).order
    end = len(file) + len(file) % 2
    outside, entries = b"", b""
    for number, values in sorted(tags.items()):
        stored = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            outside, stored = outside + stored, struct.pack(f"{order}I", end + len(outside))
        entries += struct.pack(f"{order}HHI", number, 4, len(values)) + stored
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)
    head = file[:2] + struct.pack(f"{order}HI", _CLASSIC, end + len(outside))
    return b"".join((head, file[len(head) :], b"\0" * (end - len(file)), outside, directory))
