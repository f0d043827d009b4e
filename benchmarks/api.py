"""The Python interface, from the docstrings of the public names.

python -m benchmarks.api        (seconds; writes docs/api.md)
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

import gagrad_export
import gagrad_runtime
from benchmarks.table import publish
from gagrad_edge import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

INTRODUCTION = """# The Python interface

`gagrad_export` is for the workstation, `gagrad_runtime` for the device. Names that are not on this page may change without
notice. Made by `python -m benchmarks.api` from the docstrings.

From a torch module to a picture:

```python
{example}```

In a notebook an explanation at the end of a cell shows its picture.
"""
EXAMPLE = """import gagrad_export
import gagrad_runtime
import torch

module = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, kernel_size=3, stride=2),
    torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(1),
    torch.nn.Flatten(),
    torch.nn.Linear(8, 3),
).eval()  # your trained classifier
gagrad_export.export(module, "part.gagrad", size=(64, 64), classes=["ok", "scratch", "dent"])

with gagrad_runtime.load("part.gagrad") as explainer:
    prediction = explainer.predict("part.png")  # what the model says, without an explanation
    explanation = explainer.explain("part.png", samples=20)

prediction.classes  # (name, probability), best first
explanation.saliency  # float32 [H, W], 0..1, at the model's resolution
picture = explanation.picture()  # uint8 RGB [h, w, 3]: frame, map, scale and words
files = explanation.save("explanations/")  # picture, 16-bit map and JSON record
"""
_WIDTH = 110
_MADE_BY_LOAD = (gagrad_runtime.Explainer,)


def main() -> None:
    """Publish the page."""
    publish("api", page())


def page() -> str:
    """Return the text of docs/api.md."""
    parts = [INTRODUCTION.format(example=EXAMPLE)]
    for package, names in ((gagrad_export, _names(gagrad_export)), (gagrad_runtime, _names(gagrad_runtime))):
        parts.append(f"## `{package.__name__}`\n\n{_prose(package.__doc__)}\n")
        parts += [_entry(package, name, getattr(package, name)) for name in names]
    return "\n".join(parts).rstrip() + "\n"


def _names(package: ModuleType) -> list[str]:
    """Return the public names: functions first, then classes, then the rest."""

    def rank(name: str) -> tuple[int, str]:
        value = getattr(package, name)
        return (0 if inspect.isfunction(value) else 1 if inspect.isclass(value) else 2), name

    return sorted(package.__all__, key=rank)


def _entry(package: ModuleType, name: str, value: object) -> str:
    heading = f"### `{package.__name__}.{name}`\n"
    if inspect.isfunction(value):
        return f"{heading}\n{_signature(value, name)}\n{_prose(value.__doc__)}\n"
    if inspect.isclass(value):
        return f"{heading}\n{_class(value)}"
    if name == "errors":
        return f"{heading}\n{_errors()}"
    if name == "METHODS":
        rows = "".join(
            f"| `{method.name}` | {method.words} |\n" for method in gagrad_runtime.METHODS.values()
        )
        intro = "All methods by name ([methods.md](methods.md)). Where the map is bright:"
        return f"{heading}\n{intro}\n\n| method | a bright place means |\n|---|---|\n{rows}"
    raise ValueError(f"{package.__name__}.{name} is of a kind that this page does not know")


def _class(kind: type) -> str:
    """Return what the class is, its fields and properties as a table, and its methods."""
    text = _prose(kind.__doc__) + "\n"
    attributes, methods = [], []
    for node in _tree(kind).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        name = node.name
        if name == "__init__" and kind not in _MADE_BY_LOAD:
            text += f"\n{_signature(kind.__init__, kind.__name__)}"  # type: ignore[misc]
        if name.startswith("_") or _is_overload(node):
            continue
        docstring = inspect.cleandoc(ast.get_docstring(node) or "")
        if _is_property(node):
            attributes.append((name, docstring))
        else:
            methods.append(
                f"#### `{kind.__name__}.{name}`\n\n{_signature(getattr(kind, name), name)}\n{_prose(docstring)}\n"
            )
    fields = [*_fields(kind), *attributes]
    if fields:
        rows = "".join(f"| `{name}` | {_cell(words)} |\n" for name, words in fields)
        text += f"\n| attribute | what it is |\n|---|---|\n{rows}"
    return text + "".join(f"\n{method}" for method in methods)


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """Yield each public field of the class, and those that ``__init__`` sets with a docstring, with its words."""
    bodies = [_tree(kind).body]
    bodies += [
        node.body for node in bodies[0] if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    for number, body in enumerate(bodies):
        for node, after in zip(body, [*body[1:], None], strict=True):
            target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
            if number and isinstance(node, ast.Assign):
                target = node.targets[0]
            name = getattr(target, "id", None) or getattr(target, "attr", None)
            if name is None or name.startswith("_"):
                continue
            words = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                words = inspect.cleandoc(str(after.value.value))
            if isinstance(node, ast.AnnAssign) and not number:
                words = words or f"`{ast.unparse(node.annotation)}`"
            if words:
                yield name, words


def _signature(function: Any, name: str) -> str:
    """Return a code block with the function's call as the source has it; ``self`` and ``**unknown`` left out."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{name} is no function")
    arguments = node.args
    arguments.args = [one for one in arguments.args if one.arg not in ("self", "cls")]
    if arguments.kwarg is not None and arguments.kwarg.arg == "unknown":
        arguments.kwarg = None
    returns = "" if node.returns is None or name == "__init__" else f" -> {ast.unparse(node.returns)}"
    parts = re.split(r", (?=\w+[:=]|\*)", ast.unparse(arguments))
    parts = [re.sub(r"^(\w+: .*?)=", r"\1 = ", part) for part in parts]
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) > _WIDTH:
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
    return f"```python\n{line}\n```\n"


def _errors() -> str:
    """Return the error classes as a table, each below its base."""
    rows = []
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.GagradError):
            base = kind.__bases__[0].__name__ if kind is not errors.GagradError else "Exception"
            rows.append(
                f"| `{name}` | `{base}` | {kind.exit_code} | {_cell(inspect.cleandoc(kind.__doc__ or ''))} |"
            )
    head = "All errors, as a module. Each has `what`, `where` (parameter, file or node), `hint` and `choices`.\n\n"
    return head + "| error | is a | exit code | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _tree(kind: type) -> ast.ClassDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{kind} is no class")
    return node


def _is_property(node: ast.AST) -> bool:
    names = [getattr(one, "id", "") for one in getattr(node, "decorator_list", ())]
    return "property" in names or "cached_property" in names


def _is_overload(node: ast.AST) -> bool:
    return "overload" in [getattr(one, "id", "") for one in getattr(node, "decorator_list", ())]


def _prose(docstring: str | None) -> str:
    return _plain(inspect.cleandoc(docstring or ""))


def _cell(text: str) -> str:
    return _plain(" ".join(text.split())).replace("|", "\\|")


def _plain(text: str) -> str:
    return text.replace("``", "`")


if __name__ == "__main__":
    main()
