"""docs/audit.md: the table of columns is the program's, and the examples run."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gagrad_runtime.audit import decisions, queue_file
from gagrad_runtime.audit.table import COLUMNS, markdown
from tests.runtime.report.test_record import in_order

START, END = "<!-- made from runtime/gagrad_runtime/audit/table.py -->\n", "<!-- end -->\n"


def test_the_columns_are_those_of_the_program(root: Path) -> None:
    """The docs cannot drift; ``UPDATE_SCHEMAS=1 pytest`` of this file writes the table again."""
    path = root / "docs" / "audit.md"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    expected = before + START + markdown() + END + after
    if os.environ.get("UPDATE_SCHEMAS"):
        path.write_text(expected, encoding="utf-8")
        text = expected
    assert text == expected


@pytest.mark.parametrize("name", ["findings", "queue"])
def test_the_schemas_are_the_programs(root: Path, name: str) -> None:
    """The docs cannot drift; ``UPDATE_SCHEMAS=1 pytest`` of this file writes the schemas again."""
    made = {"findings": decisions.json_schema, "queue": queue_file.json_schema}[name]()
    path = root / "docs" / f"{name}.schema.json"
    text = json.dumps(in_order(made), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SCHEMAS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_the_schema_has_every_column() -> None:
    """In the order of the docs, each with a type of Arrow."""
    pytest.importorskip("pyarrow", reason="an audit needs the extra audit")
    from gagrad_runtime.audit.table import schema

    assert schema().names == [column.name for column in COLUMNS]


@pytest.mark.parametrize("language", ["sql", "python"])
def test_the_examples_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """As printed, on a table of four rows; where DuckDB or pandas is installed."""
    for needed in ("pyarrow", *(["duckdb"] if language == "sql" else ["pandas"])):
        pytest.importorskip(needed, reason="the example needs it")
    from gagrad_runtime.audit.rows import table_of
    from gagrad_runtime.audit.worker import encoded

    day = datetime(2026, 11, 2, tzinfo=timezone.utc)
    rows = [
        {"row": number, "path": f"{number}.png", "time": day + timedelta(days=5 * number), "station": "a",
         "ng": number % 2 == 0, "probability": 0.9, "covered": 0.1, "decides": 0, "verdict": "x",
         "explained": "ng", "map": bytes(range(256)), "error": ""}
        for number in range(4)
    ]  # fmt: skip
    (tmp_path / "audit" / "shards").mkdir(parents=True)
    (tmp_path / "audit" / "shards" / "000000.parquet").write_bytes(encoded(table_of(rows)))
    monkeypatch.chdir(tmp_path)
    text = (root / "docs" / "audit.md").read_text(encoding="utf-8")
    examples = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        if language == "sql":
            import duckdb

            assert duckdb.sql(example).fetchall()
        else:
            exec(example, {})  # noqa: S102 - what the page prints
