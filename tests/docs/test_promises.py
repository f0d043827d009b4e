"""Docs and program together: what README.md and docs/ name exists, and what exists is in docs/."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import gagrad_runtime
from gagrad_edge import __version__, errors
from gagrad_edge.cli import COMMANDS, group

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?:^|`|\$ |&& )gagrad-edge ([a-z]+)((?: [^`\n]*)?)", re.MULTILINE)


def options_of(name: str) -> set[str]:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def code_of(page: Path) -> str:
    """Return the code blocks and code spans of ``page``, a continued command on one line."""
    return "\n".join(CODE.findall(page.read_text(encoding="utf-8"))).replace("\\\n", " ")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    """Every ``gagrad-edge COMMAND --option`` of a page is one of the program's."""
    for name, rest in CALL.findall(code_of(page)):
        assert name in COMMANDS, f"{page.name}: gagrad-edge {name}"
        options = {"--help", "-h", *options_of(name)}
        for word in re.findall(r"(?<= )--[a-z][a-z-]*", rest.split("#")[0].split(" | ")[0]):
            assert word in options, f"{page.name}: gagrad-edge {name} {word}"


def test_the_search_for_commands_finds_them() -> None:
    """A wrong command or option in a page would be seen."""
    found = CALL.findall("`gagrad-edge explian x --nosuch 3`\n$ gagrad-edge verify part.gagrad\n")
    assert found == [("explian", " x --nosuch 3"), ("verify", " part.gagrad")]
    assert sum(len(CALL.findall(code_of(page))) for page in PAGES) > 30


def test_exit_codes_are_those_of_the_program() -> None:
    """The table of docs/cli.md, that of ``gagrad_edge.errors`` and the classes have the same codes."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    assert errors.__doc__ is not None
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    listed = {int(code) for code in re.findall(r"^(\d+) ", errors.__doc__, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = {kind.exit_code for kind in kinds if issubclass(kind, errors.GagradError)}
    assert documented == listed
    assert {0, errors.INTERRUPTED} | raised <= documented


def test_the_names_of_the_python_block_exist() -> None:
    """README.md takes only public names of ``gagrad_runtime``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\bgagrad_runtime\.(\w+)", text))
    assert names
    assert names <= set(gagrad_runtime.__all__)


def test_files_that_the_readme_names_exist() -> None:
    """Pictures, pages and inputs, in links, commands and text."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    inputs = [word for line in re.findall(r"^\$ (.+)", text, re.MULTILINE) for word in shlex.split(line)]
    files = {word for word in inputs if word.startswith("gagrad_edge/")}
    files |= set(re.findall(r"\]\(([^)#:]+)\)", text))
    assert len(files) > 20
    for name in files:
        assert list(ROOT.glob(name)), name


def test_the_readme_is_a_landing_page() -> None:
    """Short, with pictures that load fast, this version, and what has not run before the first command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    pictures = re.findall(r"^!\[[^]]+\]\(([^)]+)\)", text, re.MULTILINE)
    assert pictures
    kept = {path.name for path in (ROOT / "docs" / "images").iterdir()}
    shown = {
        f"docs/{name}" for name in re.findall(r"\((images/[^)]+)\)", (ROOT / "docs/viewer.md").read_text())
    }
    assert {*pictures, *shown} == {f"docs/images/{name}" for name in kept}
    assert all((ROOT / "docs" / "images" / name).stat().st_size <= 300_000 for name in kept)
    assert f"version {__version__}" in text.split("## Try it")[0]
    assert "any GPU" in text.split("```")[0]


def test_figures_of_the_readme_are_those_of_their_pages() -> None:
    """Architectures that pass, and times beside captum and the paper's program, as measured."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    passed, tried = re.findall(
        r"\*\*(\d+) of (\d+) pass", (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    )[0]
    assert f"Of {tried} architectures [{passed} pass](docs/coverage.md)" in text
    more = re.findall(r"\*\*(\d+) of 80 pass", (ROOT / "docs/coverage-more.md").read_text(encoding="utf-8"))[
        0
    ]
    assert f"others [{more}](docs/coverage-more.md)" in text
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in (ROOT / "docs/speed.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    chunks = [row for row in rows if len(row) == 13 and row[2] == "10" and row[1] != "demo"]
    assert len(chunks) == 6
    ratios = sorted(float(row[8].split()[0]) / float(row[5].split()[0]) for row in chunks)
    assert f"| {ratios[0]:.2f} to {ratios[-1]:.2f} |" in text
    frames = [row for row in rows if len(row) == 12 and row[3].endswith(" s")]
    assert len(frames) == 6
    faster = sorted(float(row[6].split()[0]) for row in frames)
    assert f"takes {faster[0]:.1f} to {faster[-1]:.1f} times as long" in text
