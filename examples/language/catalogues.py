"""Keep the catalogues: find every text in the source, add what is new to the .po files, compile them to .mo.

    python -m examples.language.catalogues

New texts come with an empty translation and are printed; texts that are no longer in the source go. Babel
does the work. The tests compare source, .po and .mo.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "gagrad_runtime"
CATALOGUES = RUNTIME / "language" / "catalogues"
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "text": None,
    "phrase": None,
    "marked": None,
    "plural": (1, 2),
    "phrases": (1, 2),
}
"""The functions of ``gagrad_runtime.language`` whose first arguments are texts."""
OTHERS = {"viewer", "service", "web"}
"""Rooms whose texts are in catalogues of their own, or that show none."""


def floor_texts() -> Catalog:
    """Return the texts of the domain ``floor``, as they stand in the source."""
    return texts_of(RUNTIME, lambda path: path.relative_to(RUNTIME).parts[0] not in OTHERS)


def texts_of(folder: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Catalog:
    """Return the texts in the Python files of ``folder`` that are ``wanted``."""
    found = Catalog()
    for name, line, message, _, _ in _extracted(folder):
        if wanted(folder / name):
            found.add(message, locations=[(str((folder / name).relative_to(ROOT)), line)])
    return found


def _extracted(folder: Path) -> Iterator[tuple[str, int, str | tuple[str, ...], list[str], str | None]]:
    return extract_from_dir(
        str(folder), method_map=[("**.py", "python")], keywords=KEYWORDS, strip_comment_tags=True
    )


def read(path: Path, language: str) -> Catalog:
    """Return the catalogue in the .po file ``path``."""
    with path.open("rb") as file:
        return read_po(file, locale=language)


def compiled(catalogue: Catalog) -> bytes:
    """Return ``catalogue`` as the bytes of a .mo file."""
    stream = io.BytesIO()
    write_mo(stream, catalogue)
    return stream.getvalue()


def renew(path: Path, source: Catalog, language: str) -> list[str]:
    """Bring the .po file ``path`` to the texts of ``source``, write its .mo; return what is missing."""
    kept, renewed = read(path, language), Catalog(locale=language, header_comment=_header(path))
    for message in source:
        if not message.id:
            continue
        old = kept.get(message.id)
        renewed.add(
            message.id,
            old.string if old else None,
            locations=sorted({(name, 0) for name, _ in message.locations}),
        )
    stream = io.BytesIO()
    write_po(stream, renewed, width=120, sort_by_file=True, omit_header=False, include_lineno=False)
    path.write_bytes(stream.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(read(path, language)))
    return [str(message.id) for message in renewed if message.id and not _whole(message.string)]


def _whole(translation: str | tuple[str, ...] | list[str] | None) -> bool:
    return bool(translation) and (isinstance(translation, str) or all(translation or ()))


def _header(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(
        line for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    )


def main() -> int:
    """Renew the floor's catalogues."""
    missing = renew(CATALOGUES / "ja" / "floor.po", floor_texts(), "ja")
    for message in missing:
        print(f"not translated: {message}")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
