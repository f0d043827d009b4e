"""The README tells the truth: its commands and its code run as written."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from gagrad_edge.cli import run

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")
ROOT = Path(__file__).parents[2]


def blocks(path: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(path.read_text(encoding="utf-8")) if found == language]


def with_output(shown: list[str]) -> list[tuple[str, list[str]]]:
    """Return each command of a console block with the lines that are shown below it."""
    pairs: list[tuple[str, list[str]]] = []
    for line in shown:
        if line.startswith("$ "):
            pairs.append((line, []))
        else:
            pairs[-1][1].append(line)
    return pairs


def figureless(line: str) -> str:
    """Return ``line`` without what differs between machines: numbers, and a space before %."""
    return re.sub(r"\d+(\.\d+)*(e[+-]\d+)?( (?=%))?", "#", line)


@pytest.fixture
def checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder in which the README's relative paths exist, and where it may write."""
    shutil.copytree(root / "gagrad_edge" / "demo", tmp_path / "gagrad_edge" / "demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_commands_and_code_run(root: Path, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which a reader would type them; they print what is shown and leave what is promised."""
    shown = [line for block in blocks(root / "README.md", "console") for line in block.splitlines()]
    assert sum(line.startswith("$ ") for line in shown) >= 3
    for line, output in with_output(shown):
        command = shlex.split(line.removeprefix("$ gagrad-edge "))
        assert run(command) == 0, (command, capsys.readouterr().err)
        said = capsys.readouterr()
        printed = {figureless(found) for found in (said.out + said.err).splitlines()}
        assert {figureless(expected) for expected in output} <= printed, (output, said.err)
    (code,) = blocks(root / "README.md", "python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own README
    assert vars(names["explanation"])["target"].name == "stain"
    pictures = {path.name for path in (checkout / "explanations").glob("*.explained.png")}
    samples = (root / "gagrad_edge" / "demo" / "samples").iterdir()
    assert pictures >= {f"{sample.stem}.explained.png" for sample in samples}


def test_make_targets_exist(root: Path) -> None:
    """Every ``make`` target that README.md and CONTRIBUTING.md name is in the Makefile."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    pages = [root / "README.md", root / "CONTRIBUTING.md"]
    for target in {
        name
        for page in pages
        for name in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_links_lead_somewhere(root: Path, page: str) -> None:
    """Every relative link of a page leads to a file of the repository."""
    for target in LINK.findall((root / page).read_text(encoding="utf-8")):
        assert (root / page).parent.joinpath(target).exists(), target


def test_every_decision_is_one_page(root: Path) -> None:
    """Context, decision and consequence, on at most 60 lines, and a number of its own, in the title, too."""
    pages = sorted((root / "docs" / "adr").glob("*.md"))
    numbers = [int(page.name.partition("-")[0]) for page in pages]
    assert len(set(numbers)) == len(numbers) >= 24
    for number, page in zip(numbers, pages, strict=True):
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {number}. ")
        assert len(text.splitlines()) <= 60
        for heading in ("Context", "Decision", "Consequence"):
            assert f"## {heading}\n" in text, page.name
