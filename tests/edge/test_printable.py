"""No text from elsewhere steers a terminal or forges a line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gagrad_edge.bundle.bundle import write_bundle
from gagrad_edge.cli import group
from gagrad_edge.errors import GagradError
from gagrad_edge.logs import PrintableFormatter
from gagrad_edge.printable import printable, printable_json
from tests.models import MEMBERS, plain_manifest

HOSTILE = "a\x1b[31mRED\nError: forged\r\x9b2J\u202e\x07\u2028\x7f"


def acting(text: str) -> list[str]:
    """Return the characters of ``text`` that a terminal obeys, and lines that begin as ours do."""
    lines = [line for line in text.splitlines() if line.startswith("Error: forged")]
    return [letter for letter in text if letter != "\n" and not letter.isprintable()] + lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("part-7.gagrad", "part-7.gagrad"),
        ("Kratzer, 擦り傷, वि‌ज्ञान, خش‌دار", "Kratzer, 擦り傷, वि‌ज्ञान, خش‌دار"),
        ("a\u3000b", "a\u3000b"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\u202egpj", "\\u202egpj"),
        ("\udc80\ud800", "\\x80\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_acts_is_written_as_an_escape(text: str, expected: str) -> None:
    """Letters of every script stay; what steers a terminal does not."""
    assert printable(text) == expected


def test_json_loses_nothing() -> None:
    """The escapes of JSON decode to the same values."""
    value = {HOSTILE: [HOSTILE, "\U000e0041", "擦"]}
    shown = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert acting(shown) == []
    assert "擦" in shown
    assert json.loads(shown) == value


def test_errors_and_log_lines_are_printable() -> None:
    """Each part of an error stays on its line, and a log record on one."""
    error = GagradError(HOSTILE, where=HOSTILE, hint=HOSTILE, choices=[HOSTILE])
    assert acting(str(error)) == []
    assert len(str(error).splitlines()) == 3
    record = logging.LogRecord("gagrad_runtime", logging.WARNING, "", 0, "%s", (HOSTILE,), None)
    line = PrintableFormatter("%(levelname)s %(message)s").format(record)
    assert acting(line) == []
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_shows_a_hostile_bundle(tmp_path: Path, options: list[str]) -> None:
    """Names of bundle, model and classes are shown in the printable form."""
    plain = plain_manifest()
    manifest = msgspec.structs.replace(
        plain,
        name=HOSTILE,
        model=msgspec.structs.replace(plain.model, name=HOSTILE, notes=[HOSTILE]),
        output=msgspec.structs.replace(plain.output, name=HOSTILE, classes=[HOSTILE, "b\nc", "d"]),
    )
    write_bundle(tmp_path / "part.gagrad", manifest, MEMBERS)
    result = CliRunner().invoke(group, ["inspect", str(tmp_path / "part.gagrad"), *options], color=True)
    assert result.exit_code == 0, result.output
    assert acting(result.output) == []


@pytest.mark.parametrize("command", ["explain", "predict"])
def test_a_files_name_forges_nothing(tiny_bundle: Path, tmp_path: Path, command: str) -> None:
    """In the error about a bad file as in the line about a good one."""
    import numpy as np
    from PIL import Image

    bad, good = tmp_path / "b\x1b[31mRED\nError: forged.png", tmp_path / "g\x1b]0;x\x07\nError: forged.png"
    bad.write_bytes(b"x")
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(good)
    output = ["-o", str(tmp_path / "out"), "--samples", "4"] if command == "explain" else []
    arguments = [command, str(tiny_bundle), str(bad), str(good), "--device", "cpu", *output]
    result = CliRunner().invoke(group, arguments, color=True)
    assert "RED" in result.output
    own = result.output.replace("\x1b[31m\x1b[1mError: \x1b[0m", "Error: ")  # our own colour
    assert acting(own.replace("\r\x1b[2K", "")) == []
