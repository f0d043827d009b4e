"""The program ``gagrad-edge``: the first module of ours that Python runs.

It imports nothing by itself, so that Ctrl-C while the command line is imported ends like any other. What
comes before, while Python starts, is Python's own to answer.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line, and end with its exit code."""
    try:
        from gagrad_edge.cli import main as command_line  # noqa: PLC0415 - within reach of the handler

        command_line()
    except KeyboardInterrupt:
        _interrupted()


def _interrupted() -> None:
    """Say so in one line, and end with exit code 130."""
    import contextlib  # noqa: PLC0415
    import signal  # noqa: PLC0415
    import sys  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C changes nothing any more
    from gagrad_edge.errors import INTERRUPTED, INTERRUPTED_LINE  # noqa: PLC0415

    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            print(f"\n{INTERRUPTED_LINE}", file=sys.stderr)  # noqa: T201 - click may be what was not imported
    sys.exit(INTERRUPTED)
