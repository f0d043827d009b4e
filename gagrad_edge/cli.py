"""The ``gagrad-edge`` command: a group that finds its commands by entry point and imports neither side."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import click

from gagrad_edge import __version__
from gagrad_edge.errors import INTERRUPTED, GagradError

ENTRY_POINTS = "gagrad_edge.commands"
_ORDER = (
    *("demo", "export", "explain", "calibrate", "evaluate", "bench"),
    *("inspect", "verify", "keygen", "sign", "pack", "watch", "doctor"),
)


class Commands(click.Group):
    """Commands registered under the entry-point group ``gagrad_edge.commands``, loaded when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, the everyday ones first."""
        names = {point.name for point in entry_points(group=ENTRY_POINTS)}
        return [name for name in _ORDER if name in names] + sorted(names - set(_ORDER))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command's module."""
        for point in entry_points(group=ENTRY_POINTS, name=cmd_name):
            command = point.load()
            assert isinstance(command, click.Command)  # noqa: S101 - a packaging mistake, not a user's
            return command
        return None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gagrad-edge")
def group() -> None:
    """Explain what an inspection model looked at: on the device, without PyTorch, without a network.

    Exit codes: 0 done, 1 a region of interest failed (if asked for), 2 wrong usage, 3 bad input (image or
    target), 4 bad bundle or model, 5 device, backend or output, 130 interrupted.

    Example: gagrad-edge demo -o demo-out/
    """


def main() -> None:
    """Run the command line; turn errors into a message on stderr and the documented exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line on ``arguments`` and return its exit code."""
    try:
        code = group.main(args=arguments, prog_name="gagrad-edge", standalone_mode=False)
    except GagradError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted: nothing half-written was left behind.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); that is no error of ours.
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0
