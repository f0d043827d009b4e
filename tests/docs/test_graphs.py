"""docs/graphs.md states the graphs' inputs and outputs as ``gagrad_edge.abi`` has them."""

from __future__ import annotations

import os
from pathlib import Path

from gagrad_edge.abi import ABI, PERTURBED, Shape, graph_abi

START, END = "<!-- made from gagrad_edge/abi.py -->\n", "<!-- end -->\n"


def ports(shapes: dict[str, Shape]) -> str:
    return ", ".join(f"`{name} [{', '.join(map(str, shape))}]`" for name, shape in shapes.items())


def table() -> str:
    graphs = {f"`{role}`": abi for role, abi in ABI.items()}
    graphs[f"`accumulate`, variant `{PERTURBED}`"] = graph_abi("accumulate", PERTURBED)
    lines = ["| graph | inputs | outputs |", "|---|---|---|"]
    lines += [
        f"| {name} | {ports(dict(abi.inputs))} | {ports(dict(abi.outputs))} |" for name, abi in graphs.items()
    ]
    return "\n".join(lines) + "\n"


def test_the_table_is_the_abi(root: Path) -> None:
    """The docs cannot drift; ``UPDATE_SCHEMAS=1 pytest`` of this file writes the table again."""
    path = root / "docs" / "graphs.md"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    expected = before + START + table() + END + after
    if os.environ.get("UPDATE_SCHEMAS"):
        path.write_text(expected, encoding="utf-8")
        text = expected
    assert text == expected
