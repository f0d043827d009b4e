"""Keep the catalogues: find every text in the source, add what is new to the .po files, compile them to .mo.

    python -m examples.language.catalogues

New texts come with an empty translation and are printed; texts that are no longer in the source go. The
tests compare source, .po and .mo.
"""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "gagrad_runtime"
CATALOGUES = RUNTIME / "language" / "catalogues"
FUNCTIONS = {"text": 1, "phrase": 1, "marked": 1, "plural": 2, "phrases": 2}
"""The functions of ``gagrad_runtime.language`` that take texts, and how many of their arguments are texts."""
OTHERS = {"viewer", "service", "web"}
"""Rooms whose texts are in catalogues of their own, or that show none."""


def floor_texts() -> Catalog:
    """Return the texts of the domain ``floor``, as they stand in the source."""
    found = texts_of(RUNTIME, lambda path: path.relative_to(RUNTIME).parts[0] not in OTHERS)
    for message in texts_of(ROOT / "gagrad_edge"):
        if message.id:
            found.add(message.id, locations=message.locations)
    return found


def texts_of(folder: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Catalog:
    """Return the texts in the Python files of ``folder`` that are ``wanted``."""
    found = Catalog()
    for path in sorted(folder.rglob("*.py")):
        if wanted(path):
            for message in _texts_in(path):
                found.add(message, locations=[(str(path.relative_to(ROOT)), 0)])
    return found


def _texts_in(path: Path) -> Iterator[str | tuple[str, ...]]:
    """Yield what stands as a literal in the calls of ``FUNCTIONS``; two texts are the forms of a plural."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            texts = [
                one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            if len(texts) == FUNCTIONS[node.func.id]:
                yield texts[0] if len(texts) == 1 else tuple(texts)


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
    kept, renewed = read(path, language), Catalog(locale=language)
    for message in source:
        if message.id:
            old = kept.get(message.id)
            places = sorted(set(message.locations))
            renewed.add(message.id, old.string if old else None, locations=places)
    stream = io.BytesIO()
    write_po(stream, renewed, width=110, sort_by_file=True, omit_header=True, include_lineno=False)
    path.write_bytes(_header(path).encode() + stream.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(read(path, language)))
    return [str(message.id) for message in renewed if message.id and not _whole(message.string)]


def _whole(translation: str | tuple[str, ...] | list[str] | None) -> bool:
    return bool(translation) and (isinstance(translation, str) or all(translation or ()))


def _header(path: Path) -> str:
    """Return what stands before the first text: a comment, and the entry that says how to read the file."""
    return path.read_text(encoding="utf-8").partition("\n\n")[0] + "\n\n"


def main() -> int:
    """Renew the floor's catalogues."""
    missing = renew(CATALOGUES / "ja" / "floor.po", floor_texts(), "ja")
    for message in missing:
        print(f"not translated: {message}")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
