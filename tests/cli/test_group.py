"""The group: what every command shares."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from gagrad_edge.cli import COMMANDS, SECTIONS, Command, group, message, run, with_options
from gagrad_edge.errors import DEFECT, ModelError, SettingError

Capture = pytest.CaptureFixture[str]
MAIN = [sys.executable, "-c", "from gagrad_edge.cli import main; main()"]


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


def test_the_help_lists_every_command_in_its_section(capsys: Capture) -> None:
    """A command names its section itself, so no list can lack one; sections come in their order."""
    assert run(["--help"]) == 0
    said = capsys.readouterr().out.split("Options:\n")[1]
    places = [said.index(f"\n{heading}:\n") for heading in SECTIONS.values()]
    assert places == sorted(places)
    listed = group.list_commands(click.Context(group))
    assert sorted(listed) == sorted(COMMANDS)
    assert [said.index(f"\n  {name} ") for name in listed] == sorted(
        said.index(f"\n  {name} ") for name in listed
    )
    for name in COMMANDS:
        each = command(name)
        assert isinstance(each, Command), name
        heading = said[: said.index(f"\n  {name} ") + 1].rpartition(":\n")[0].rpartition("\n")[2]
        assert heading == SECTIONS[each.section]


def test_a_section_that_does_not_exist_is_refused() -> None:
    """A slip in a command's decorator is found when the command is imported."""
    with pytest.raises(ValueError, match="no section 'devise'"):
        Command("x", section="devise")


@pytest.mark.parametrize("arguments", [["expalin"], ["explain"], ["explain", "b.gagrad"], ["verify", "--x"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    """An unknown command or option, and a missing argument, exit with 2."""
    assert run(arguments) == 2


def test_version(capsys: Capture) -> None:
    """--version prints the program's name and exits with 0."""
    assert run(["--version"]) == 0
    assert "gagrad-edge" in capsys.readouterr().out


@click.command(cls=Command, section="first")
@click.option("--output-name")
@click.option("--mean", multiple=True)
@click.option("-f", "--fix", "fixed", multiple=True)
@click.option("--frames", "--iterations", "frames")
@click.option("--perturbations", is_flag=True)
@click.option("--device")
@click.argument("model")
def sample(**_: Any) -> None:
    """Stand for any command."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("choose with `output_name`.", "choose with --output-name."),
        ("`mean=[0.485, 0.456]`, `mean=0.5`", "--mean 0.485 0.456, --mean 0.5"),
        ("give `fixed` or `frames=20`", "give --fix or --frames 20"),
        ("`perturbations=True` or `perturbations`", "--perturbations or --perturbations"),
        ("`device=None`, `device='cpu'`, `device=cuda:1`", "--device none, --device cpu, --device cuda:1"),
        ("`fixed={'a': 1, 'b': ...}`", "--fix a=1 --fix b=VALUE"),
        ("run `pip download x==1`, give `model`", "run `pip download x==1`, give `model`"),
        ("output_name without backticks", "output_name without backticks"),
        ("`std` of another command", "`std` of another command"),
    ],
)
def test_parameters_in_hints_are_shown_as_options(text: str, shown: str) -> None:
    """In backticks, with a value or without; without a command the text stays as it is."""
    assert with_options(text, sample) == shown
    assert with_options(text, None) == text


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("output_name", "--output-name"),
        ("mean, fixed", "--mean, --fix"),
        ("device=cuda", "--device cuda"),
        ("node 'mean'", "node 'mean'"),
        ("mean, std", "mean, std"),
        ("folder/mean", "folder/mean"),
        ("model", "model"),
    ],
)
def test_where_is_shown_as_an_option_if_it_names_one(where: str, shown: str) -> None:
    """All of several must be options of the command; files and nodes stay as they are."""
    error = SettingError("wrong, as `mean` is", where=where, hint="leave `mean` out", choices=["`mean`"])
    said = f"{shown}: wrong, as --mean is\n  How to mend it: leave --mean out\n  Valid choices: `mean`"
    assert message(error, sample) == said
    assert message(error) == str(error)
    with click.Context(sample):
        assert message(error) == said


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `doctor` raise ``error``."""

    @click.command(cls=Command, section="first")
    @click.option("--output-name")
    def broken(output_name: str | None) -> None:
        raise error

    monkeypatch.setattr("gagrad_edge.cli.import_module", lambda _: SimpleNamespace(doctor=broken))


def test_an_error_of_the_library_names_the_option(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The library says ``output_name``, and the command line ``--output-name``."""
    raising(ModelError("no", where="output_name", hint="leave `output_name` out"), monkeypatch)
    assert run(["doctor"]) == 4
    assert capsys.readouterr().err == "Error: --output-name: no\n  How to mend it: leave --output-name out\n"


def test_a_defect_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """And one line that says what to report, with the traceback behind it."""
    raising(ZeroDivisionError("of two\nlines"), monkeypatch)
    assert run(["doctor"]) == DEFECT == 70
    first, *others = capsys.readouterr().err.splitlines()
    assert "defect of gagrad-edge" in first
    assert "(ZeroDivisionError: of two lines)" in first
    assert "report" in first
    assert others[0] == "Traceback (most recent call last):"
    assert any("test_group.py" in line for line in others)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_behind_stdout_is_no_defect(tiny_bundle: Path) -> None:
    """Lines that cannot be written end the command with code 5 and one sentence, without a traceback."""
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [*MAIN, "inspect", str(tiny_bundle)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 5
    assert run.stderr == "Error: the disk that the output goes to is full: free some space.\n"


def test_too_little_memory_is_no_defect(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """It is the machine's fault, so the code is that of devices."""
    raising(MemoryError(), monkeypatch)
    assert run(["doctor"]) == 5
    assert "memory" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_defect(closed: str, tiny_bundle: Path, tmp_path: Path) -> None:
    """The command does its work, and nothing that it prints lands in a file that it writes."""
    frame = Path(__file__).parents[2] / "gagrad_edge/demo/samples/1-scratch-steel.jpg"
    arguments = ["explain", str(tiny_bundle), str(frame), "-o", str(tmp_path / "out"), "--device", "cpu"]
    script = f"{shlex.join([*MAIN, *arguments, '--samples', '2', '--json'])} {closed}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (record,) = (tmp_path / "out").glob("*.json")
    assert json.loads(record.read_bytes())["method"]["samples"] == 2


def test_an_error_with_a_closed_stderr_keeps_its_code(tmp_path: Path) -> None:
    """Nobody can read the message, but a script still reads the exit code."""
    script = f"{shlex.join([*MAIN, 'inspect', str(tmp_path / 'gone.gagrad')])} 2>&-"
    assert subprocess.run(["sh", "-c", script], check=False).returncode == 4


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["doctor", "--json"], ["--help"], ["export", "--help"]])
def test_the_reader_of_the_output_may_leave(arguments: list[str]) -> None:
    """``gagrad-edge ... | head -0`` is no error of ours: exit code 0, no traceback."""
    with subprocess.Popen(
        [*MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in error
    assert "BrokenPipeError" not in error
