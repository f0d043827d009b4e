"""The ``gagrad-edge`` command: a group that names the modules of its commands and imports none of them."""

from __future__ import annotations

import ast
import contextlib
import errno
import gc
import io
import logging
import os
import re
import signal
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from gagrad_edge import __version__
from gagrad_edge.errors import (
    DEFECT,
    INTERRUPTED,
    INTERRUPTED_LINE,
    GagradError,
    OutOfMemoryError,
    OutputError,
)
from gagrad_edge.logs import PrintableFormatter
from gagrad_edge.printable import printable, printable_json, printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMANDS = {
    "export": "gagrad_export.commands",
    "pack": "gagrad_export.kit.command",
    **{
        name: f"gagrad_runtime.commands.{name}"
        for name in (
            "audit", "bench", "build", "calibrate", "check", "clusters", "demo", "doctor", "evaluate",
            "explain", "inspect", "keygen", "predict", "queue", "serve", "sign", "verify", "viewer", "watch",
        )
    },
}  # fmt: skip
"""The module of each command, in which it has the command's name. Entry points would take 40 ms to find."""

SECTIONS = {
    "first": "First steps",
    "bundle": "From a model to a bundle",
    "explain": "Explain images",
    "device": "On the device",
    "release": "Release to devices",
}
"""Parts of ``gagrad-edge --help`` in their order: a key for commands to name, and the heading."""

_PARAMETER = re.compile(r"`([a-z]\w*)(?:=([^`]+))?`")
"""A parameter in a hint, with a value or without: ```output_name```, ```mean=[0.5]```."""


class Command(click.Command):
    """A command of the group, which says in which section of ``gagrad-edge --help`` it is listed."""

    def __init__(self, *args: Any, section: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if section not in SECTIONS:
            raise ValueError(f"command {self.name}: no section {section!r}; there are {', '.join(SECTIONS)}")
        self.section = section


class Commands(click.Group):
    """The commands of both sides, each of which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help: by section, and by the alphabet within a section."""
        return [name for commands in self._by_section(ctx).values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command's module."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - our mistake, not a user's
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section's heading and its commands."""
        sections = self._by_section(ctx)
        widest = max(len(name) for commands in sections.values() for name in commands)
        for section, commands in sections.items():
            with formatter.section(SECTIONS.get(section, "Others")):
                limit = formatter.width - 6 - widest
                formatter.write_dl(
                    [(name.ljust(widest), each.get_short_help_str(limit)) for name, each in commands.items()]
                )

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """Read the options of the group itself, such as ``--help``."""
        with _reader_may_leave():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error becomes a message with this command's options, and an exit code."""
        try:
            with _reader_may_leave():
                return super().invoke(ctx)
        except Exception as error:
            if _cut_an_import_short(error):
                raise KeyboardInterrupt from error
            if not isinstance(error, GagradError):
                raise
            name = ctx.invoked_subcommand
            command = None if name is None else self.get_command(ctx, name)
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(message(error, command), err=True)
            return error.exit_code

    def _by_section(self, ctx: click.Context) -> dict[str, dict[str, click.Command]]:
        """Return the commands by name, by section; those without a section come last."""
        sections: dict[str, dict[str, click.Command]] = {section: {} for section in (*SECTIONS, "")}
        for name in sorted(COMMANDS):
            command = self.get_command(ctx, name)
            assert command is not None  # noqa: S101 - its name is from the list
            sections[getattr(command, "section", "")][name] = command
        return {section: commands for section, commands in sections.items() if commands}


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gagrad-edge")
def group() -> None:
    """Explain what an inspection model looked at: on the device, without PyTorch, without a network.

    Exit codes: 0 done, 1 what was checked failed (if asked for), 2 wrong usage, 3 bad input (image or
    target), 4 bad bundle or model, 5 device, backend or output, 6 a check that cannot be told, 70 a defect of
    gagrad-edge, 130 interrupted.

    Example: gagrad-edge demo -o demo-out/
    """


def say(*lines: str, err: bool = False) -> None:
    """Write ``lines``, each on one line and in the printable form, to stdout or stderr.

    Whatever a command says goes through here or through ``say_json``: names and texts in it may be foreign.
    """
    click.echo("\n".join(map(printable, lines)), err=err)


def say_json(data: bytes, *, nl: bool = True) -> None:
    """Write the JSON in ``data`` to stdout, with escapes for what a terminal would obey."""
    click.echo(printable_json(data.decode()), nl=nl)


def main() -> None:
    """Run the command line; turn errors into a message on stderr and the documented exit code."""
    _replace_closed_streams()
    code = run(sys.argv[1:])
    # All is done: a late Ctrl-C shall not change the exit code, as it would while Python takes itself down.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Python looks through all objects once more before it ends, for 50 ms after an explanation.
    gc.freeze()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line on ``arguments`` and return its exit code."""
    if logging.lastResort is not None:  # what writes warnings to stderr where nobody has set up a log
        logging.lastResort.setFormatter(PrintableFormatter())
    try:
        code = group.main(args=arguments, prog_name="gagrad-edge", standalone_mode=False)
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        click.echo(printable_lines(text.getvalue()), nl=False, err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        # The terminal has written ^C, and click has ended that line.
        click.echo("" if isinstance(error, click.Abort) else "\n", nl=False, err=True)
        click.echo(INTERRUPTED_LINE, err=True)
        return INTERRUPTED
    except MemoryError:
        click.echo("Error: this machine has not enough free memory for that.", err=True)
        return OutOfMemoryError.exit_code
    except Exception as error:  # noqa: BLE001 - whatever else is raised is a defect
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            # Stdout on a full disk; files of results raise OutputError.
            click.echo("Error: the disk that the output goes to is full: free some space.", err=True)
            return OutputError.exit_code
        _report(error)
        return DEFECT
    return code if isinstance(code, int) else 0


def message(error: GagradError, command: click.Command | None = None) -> str:
    """Return the text of ``error`` with the options of ``command``, by default the one that is running.

    The library names parameters (``output_name``), as a caller in Python knows them. ``error.where`` may be
    one, or several joined by ", ", each with a value or without (``device=cuda``). In the other parts of an
    error parameters stand in backticks.
    """
    if command is None:
        context = click.get_current_context(silent=True)
        command = None if context is None else context.command
    return str(
        GagradError(
            with_options(error.what, command),
            where=error.where and _where_with_options(error.where, _options(command)),
            hint=error.hint and with_options(error.hint, command),
            choices=error.choices,
        )
    )


def with_options(text: str, command: click.Command | None) -> str:
    """Return ``text`` with each parameter of ``command`` that stands in backticks written as its option.

    ```output_name``` becomes ``--output-name``, ```mean=[0.485, 0.456]``` becomes ``--mean 0.485 0.456``,
    ```perturbations=True``` becomes ``--perturbations``, and ```fixed={"gain": ...}``` becomes
    ``--fix gain=VALUE``. Other words in backticks stay as they are.
    """
    options = _options(command)

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        return _option(options[name], value) if name in options else found[0]

    return _PARAMETER.sub(option, text)


def _where_with_options(where: str, options: Mapping[str, str]) -> str:
    """Return ``where`` with options, if every part of it names a parameter; a file or a node stays."""
    parts = [part.partition("=") for part in where.split(", ")]
    if not all(name in options for name, _, _ in parts):
        return where
    return ", ".join(_option(options[name], value or None) for name, _, value in parts)


def _options(command: click.Command | None) -> dict[str, str]:
    """Return the long option of each parameter of ``command``, by the parameter's name."""
    return {
        parameter.name: next(
            (option for option in parameter.opts if option.startswith("--")), parameter.opts[0]
        )
        for parameter in (command.params if command is not None else [])
        if isinstance(parameter, click.Option) and parameter.name is not None
    }


def _option(option: str, value: str | None) -> str:
    """Return ``option`` with ``value``, a literal of Python or any other text, as a terminal takes it."""
    if value is None or value == "True":
        return option
    with contextlib.suppress(ValueError, SyntaxError):
        literal = ast.literal_eval(value)
        if isinstance(literal, dict):
            return " ".join(f"{option} {key}={_written(each)}" for key, each in literal.items())
        value = " ".join(map(_written, literal if isinstance(literal, (list, tuple)) else [literal]))
    return f"{option} {value}"


def _written(value: object) -> str:
    """Return a value as a terminal takes it; ``...`` stands for a value that the user has to choose."""
    return "none" if value is None else "VALUE" if value is ... else str(value)


def _cut_an_import_short(error: BaseException | None) -> bool:
    """Return whether ``error`` came of Ctrl-C in an import: compiled modules make an ImportError of it."""
    while error is not None:
        before = error.__cause__ or error.__context__
        if isinstance(error, ImportError) and isinstance(before, KeyboardInterrupt):
            return True
        error = before
    return False


def _report(error: Exception) -> None:
    """Write one line that says what to report, and the traceback behind it."""
    said = printable(" ".join(f"{type(error).__name__}: {error}".split()))
    with contextlib.suppress(OSError):  # stderr may be what is broken
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(
            f"a defect of gagrad-edge {__version__} ({said}); please report this line, the command that you "
            "ran and the traceback below.",
            err=True,
        )
        click.echo(printable_lines("".join(traceback.format_exception(error))), nl=False, err=True)


def _replace_closed_streams() -> None:
    """Open the null device in place of a standard stream that was closed (``>&-``).

    Otherwise the next file that is opened gets the stream's number, and whatever a library prints goes into
    that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if not _is_open(number):
            # The lowest free number is given out: this one, as those below were looked at before.
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # for child processes, as standard streams are
            setattr(sys, name, os.fdopen(descriptor, mode))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End with exit code 0 when the reader of the output went away (``| head``); click would end with 1."""
    try:
        yield
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):  # which Python flushes at its end
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise click.exceptions.Exit(0) from None
