"""The program's first module: Ctrl-C while the rest is imported ends like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gagrad_edge.cli import COMMANDS, run
from gagrad_edge.errors import INTERRUPTED, INTERRUPTED_LINE

Capture = pytest.CaptureFixture[str]
ENTRY = [sys.executable, "-c", "from gagrad_edge.entry import main; main()"]
CTRL_C = "import signal; signal.raise_signal(signal.SIGINT)"
COMPILED = """
try:
    raise KeyboardInterrupt
except KeyboardInterrupt as error:
    raise ImportError("initialization failed") from error
"""
OURS = f"""
from gagrad_edge.errors import MissingPackageError
try:
{"    ".join(("", *COMPILED.splitlines(keepends=True)))}
except ImportError as error:
    raise MissingPackageError("there is no such package") from error
"""


def test_the_package_is_the_program() -> None:
    """``python -m gagrad_edge`` runs it, with its name and its exit codes."""
    found = [
        subprocess.run([*way, *words], capture_output=True, text=True, check=False)
        for words in (["--version"], ["inspect", "nothing.gagrad"])
        for way in (ENTRY, [sys.executable, "-m", "gagrad_edge"])
    ]
    said = [(one.returncode, one.stdout, one.stderr) for one in found]
    assert said[::2] == said[1::2]
    assert [code for code, _, _ in said[::2]] == [0, 4]


@pytest.mark.parametrize("ends", ["raise KeyboardInterrupt", CTRL_C])
def test_while_the_command_line_is_imported(tmp_path: Path, ends: str) -> None:
    """The exit code is 130, stderr has one line, and there is no traceback."""
    (tmp_path / "click.py").write_text(ends)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [*ENTRY, "doctor"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (INTERRUPTED, "")
    assert ended.stderr == f"\n{INTERRUPTED_LINE}\n"


@pytest.mark.parametrize(
    "ends", ["raise KeyboardInterrupt", CTRL_C, COMPILED, OURS], ids=["raised", "signal", "compiled", "ours"]
)
def test_while_a_command_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, ends: str
) -> None:
    """The same, also where a compiled module or we ourselves make another error of it."""
    (tmp_path / "cut_short.py").write_text(ends)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "cut", "cut_short")
    assert run(["cut"]) == INTERRUPTED
    assert capsys.readouterr() == ("", f"\n{INTERRUPTED_LINE}\n")


def test_a_package_that_is_missing_is_no_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """An import that fails by itself is reported as before."""
    (tmp_path / "lacks_one.py").write_text("import no_such_package_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "lacks", "lacks_one")
    assert run(["lacks"]) == 70
    assert "no_such_package_at_all" in capsys.readouterr().err


def test_the_entry_imports_nothing_by_itself(root: Path) -> None:
    """What the installed program imports before it can answer Ctrl-C is this module and the package alone."""
    assert 'gagrad-edge = "gagrad_edge.entry:main"' in (root / "pyproject.toml").read_text(encoding="utf-8")
    code = (
        "import __future__, os, sys; before = set(sys.modules); import gagrad_edge.entry;"
        "print(sorted(set(sys.modules) - before))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "['gagrad_edge', 'gagrad_edge.entry']"
