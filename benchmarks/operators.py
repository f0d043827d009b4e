"""The table of all ONNX operators and how the exporter treats each, from the exporter's own tables.

python -m benchmarks.operators        (seconds; writes docs/operators.md)
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import onnx

from benchmarks.table import markdown, publish
from gagrad_export import lower
from gagrad_export.canonicalise.passes import rewritten_operators
from gagrad_export.canonicalise.rewrite.opset import OPSET
from gagrad_export.differentiate import gradients  # noqa: F401 - registers the rules
from gagrad_export.differentiate.registry import refused_operators, registered_rules, zero_operators
from gagrad_export.differentiate.rules import quantisation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gagrad_export.differentiate.registry import Entry

NEWEST = 25
INTRODUCTION = """# Operators

Every operator of ONNX's default domain up to opset {newest}, and those of ONNX Runtime's domain that the exporter
handles: {counts}.

| status | meaning |
|---|---|
| rule | The operator has a differentiation rule, written with standard operators; the table gives the rule's formula. |
| straight-through | The operator rounds; the gradient passes as if it did not round. |
| zero | The derivative is zero wherever it exists, so no gradient passes. |
| rewritten | The operator is replaced by other operators before differentiation. |
| not differentiable | The inputs or outputs are not real numbers but integers, Booleans or text. |
| refused | The operator has no rule. If a gradient must pass through it, the export stops, names it and gives the reason. |

Versions are the versions of the operator's definition. A model with an opset below {opset} is converted to opset {opset} first;
versions that occur only in such models are in parentheses. A rule holds for the listed versions and no others.

This page is written by `python -m benchmarks.operators`.

"""
LOWERED = """
## Lowered
Before a graph is written, these operators are replaced by others that compilers accept and engines run fast, both in the
model and in its gradient. Operators of the domain `gagrad` are internal: no written graph contains them.

"""


def main() -> None:
    """Write docs/operators.md."""
    publish("operators", page())


def page() -> str:
    """Return the text of docs/operators.md."""
    rows = [
        (f"`{name}`", _written(*versions), *_status(name, versions))
        for name, versions in _operators().items()
    ]
    counts = ", ".join(f"{count} {status}" for status, count in Counter(row[2] for row in rows).most_common())
    text = INTRODUCTION.format(newest=NEWEST, opset=OPSET, counts=counts)
    text += markdown(("operator", "versions", "status", "how, or why not", "limits"), rows)
    return text + LOWERED + markdown(("operator", "how"), _lowered())


def _lowered() -> list[tuple[str, str]]:
    """Return (operator, first sentence of the lowering's module) for each lowered operator."""
    return [
        (
            f"`{f'{domain}.' if domain else ''}{name}`",
            _first_sentence(sys.modules[how.__module__].__doc__ or ""),
        )
        for (domain, name), how in lower.lowerings().items()
    ]


def _operators() -> dict[str, tuple[list[int], list[int]]]:
    """Return name → versions in models from OPSET to NEWEST, and versions that only older models have."""
    versions = defaultdict(set)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= NEWEST:
            versions[schema.name].add(schema.since_version)
    current = {
        name: {
            onnx.defs.get_schema(name, opset).since_version
            for opset in range(max(OPSET, min(found)), NEWEST + 1)
            if not onnx.defs.get_schema(name, opset).deprecated
        }
        for name, found in versions.items()
    }
    foreign: dict[str, tuple[list[int], list[int]]] = {
        f"com.microsoft.{name}": ([1], []) for name in rewritten_operators() if name not in versions
    }
    return {
        **{
            name: (sorted(current[name]), sorted(versions[name] - current[name])) for name in sorted(versions)
        },
        **foreign,
    }


def _status(name: str, versions: tuple[list[int], list[int]]) -> tuple[str, str, str]:
    """Return an operator's status, the formula or reason, and its limits."""
    key = ("", name)
    rules = {rule[2]: entry for rule, entry in registered_rules().items() if rule[:2] == key}
    rewritten, refused = rewritten_operators(), refused_operators()
    if rules:
        status, how, limits = _rule(rules, versions[0])
    elif (found := name.removeprefix("com.microsoft.")) in rewritten:
        step = rewritten[found]
        module = sys.modules[type(step).__module__]
        status, how, limits = "rewritten", _first_sentence(module.__doc__ or ""), step.limits
    elif key in refused:
        status, how, limits = "refused", refused[key], ""
    elif not versions[0]:
        status, how, limits = "rewritten", f"By the conversion to opset {OPSET}", ""
    elif key in zero_operators() or not onnx.defs.get_schema(name, NEWEST).inputs:
        status, how, limits = "zero", "", ""
    else:
        schema = onnx.defs.get_schema(name, NEWEST)
        if _takes_reals(schema.inputs) and _takes_reals(schema.outputs):
            raise KeyError(f"{name} has neither a rule, nor a reason why not in rules/refused.py")
        status, how, limits = "not differentiable", "", ""
    return status, _escaped(how), limits


def _rule(rules: dict[int, Entry], versions: list[int]) -> tuple[str, str, str]:
    entry = rules[max(rules)]
    status = "straight-through" if entry.rule.__module__ == quantisation.__name__ else "rule"
    missing = [version for version in versions if version not in rules]
    limits = [entry.limits] if entry.limits else []
    limits += [f"not version {_listed(missing)}"] if missing else []
    return status, _first_sentence(entry.rule.__doc__ or ""), "; ".join(limits)


def _takes_reals(parameters: Sequence[onnx.defs.OpSchema.FormalParameter]) -> bool:
    return any("float" in kind or "double" in kind for parameter in parameters for kind in parameter.types)


def _first_sentence(docstring: str) -> str:
    """Return the first paragraph of a docstring up to the end of its first sentence."""
    paragraph = " ".join(docstring.split("\n\n", maxsplit=1)[0].split())
    return re.split(r"[.;] (?=[A-Z])", paragraph)[0].rstrip(".")


def _written(current: Iterable[int], older: Iterable[int]) -> str:
    return " ".join(filter(None, (_listed(current), f"({_listed(older)})" if older else "")))


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`").replace("*", "\\*")


if __name__ == "__main__":
    main()
