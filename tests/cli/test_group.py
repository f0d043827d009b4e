"""The group: what every command shares."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from gagrad_edge.cli import ENTRY_POINTS, group, run

Capture = pytest.CaptureFixture[str]
COMMANDS = sorted(point.name for point in entry_points(group=ENTRY_POINTS))


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example(name: str, capsys: Capture) -> None:
    """And every option says what it does."""
    assert run([name, "--help"]) == 0
    assert f"Example: gagrad-edge {name} " in " ".join(capsys.readouterr().out.split())
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_docs(name: str, root: Path) -> None:
    """docs/cli.md cannot fall behind the commands."""
    page = (root / "docs/cli.md").read_text(encoding="utf-8")
    assert f"## `gagrad-edge {name}`" in page
    section = page.split(f"## `gagrad-edge {name}`")[1].split("\n## ")[0]
    for parameter in command(name).params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in section, option


@pytest.mark.parametrize("arguments", [["expalin"], ["explain"], ["explain", "b.gagrad"], ["verify", "--x"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    """An unknown command or option, and a missing argument, exit with 2."""
    assert run(arguments) == 2


def test_version(capsys: Capture) -> None:
    """--version prints the program's name and exits with 0."""
    assert run(["--version"]) == 0
    assert "gagrad-edge" in capsys.readouterr().out


def test_the_reader_of_the_output_may_leave() -> None:
    """``gagrad-edge ... | head -0`` is no error of ours and prints no traceback."""
    code = "from gagrad_edge.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "doctor", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
    assert "Traceback" not in error
