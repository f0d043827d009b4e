"""Keep the catalogue of the viewer's pages: every message of templates and modules, found in their source.

python -m examples.language.viewer
"""

from __future__ import annotations

import ast
import sys

from babel.messages.catalog import Catalog
from jinja2.ext import extract_from_ast

from examples.language.catalogues import CATALOGUES, RUNTIME, renew
from gagrad_runtime.viewer.pages.rendering import environment

ROOM = RUNTIME / "viewer"
CATALOGUE = CATALOGUES / "ja" / "viewer.po"
CALLS = {"say", "count", "marked"}
"""Names of the functions whose first argument, of ``count`` the first two, is a message."""

Message = tuple[str, str | None]
"""The message, and its form for several; None without one."""


def messages() -> set[Message]:
    """Return all messages of templates and modules."""
    return _of_templates() | _of_modules()


def _of_templates() -> set[Message]:
    found: set[Message] = set()
    for path in sorted((ROOM / "templates").glob("*.html")):
        tree = environment().parse(path.read_text(encoding="utf-8"))
        for _, name, strings in extract_from_ast(tree, sorted(CALLS), babel_style=False):
            found.add(
                _message(name, [one for one in strings or () if isinstance(one, str)], f"{path.name}: {name}")
            )
    return found


def _of_modules() -> set[Message]:
    found: set[Message] = set()
    for path in sorted((ROOM / "pages").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            strings = [
                one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            if name in CALLS and strings:
                found.add(_message(name, strings, f"{path.name}:{node.lineno}"))
    return found


def _message(name: str, strings: list[str], where: str) -> Message:
    if not strings:
        raise ValueError(f"{where} calls {name} without a literal text")
    return (strings[0], strings[1]) if name == "count" else (strings[0], None)


def texts() -> Catalog:
    """Return the messages as a catalogue without translations."""
    found = Catalog()
    for one, many in sorted(messages(), key=lambda pair: pair[0]):
        found.add(one if many is None else (one, many), locations=[("viewer", 0)])
    return found


def main() -> int:
    """Renew the catalogue, and print what is not translated yet."""
    missing = renew(CATALOGUE, texts(), "ja")
    for message in missing:
        print(f"not translated: {message}")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
