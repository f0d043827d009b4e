"""The program that ``install.sh`` runs: ``KIT [--prefix DIR] [--no-service] …``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gagrad_edge.errors import INTERRUPTED, GagradError
from gagrad_runtime.install import service
from gagrad_runtime.install.environment import say
from gagrad_runtime.install.installer import go_back, install, uninstall
from gagrad_runtime.install.layout import Layout
from gagrad_runtime.install.preflight import check_root


def main(arguments: list[str] | None = None) -> int:
    """Install, roll back or uninstall; return an exit code of gagrad_edge.errors."""
    options = _parser().parse_args(arguments)
    # The service's user has to read what is installed for the device, and nobody else may write it.
    before = os.umask(0o022)
    if options.prefix is not None:
        os.umask(before | 0o022)
    serve = not options.no_service and options.prefix is None
    layout = Layout() if options.prefix is None else Layout.below(options.prefix)
    try:
        if options.prefix is None:
            check_root()
        if serve and not options.uninstall:
            service.check()  # before anything is changed
        if options.uninstall:
            uninstall(layout, serve=serve)
        elif options.rollback:
            go_back(layout, serve=serve)
        else:
            install(
                options.kit,
                layout,
                serve=serve,
                device=options.device,
                accept_unsigned=options.accept_unsigned,
                accept_older=options.accept_older,
            )
    except GagradError as error:
        say(f"Error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("\nInterrupted: the version that was in use still is.")
        return INTERRUPTED
    finally:
        os.umask(before)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.sh",
        description="Install this kit on this device, without a network. A second run finds nothing to do; "
        "an interrupted run leaves the version that was in use.",
        epilog="Example: sudo ./install.sh",
    )
    parser.add_argument("kit", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--prefix",
        type=Path,
        metavar="DIR",
        help="put everything below DIR, without root and without a service",
    )
    parser.add_argument("--no-service", action="store_true", help="do not run it as a systemd service")
    parser.add_argument("--device", default="auto", help="where the self-test computes (default: auto)")
    parser.add_argument(
        "--accept-unsigned",
        action="store_true",
        help="replace the version in use by a kit that its trust policy does not trust",
    )
    parser.add_argument(
        "--accept-older",
        action="store_true",
        help="replace the version in use by a kit with an older gagrad-edge",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rollback", action="store_true", help="go back to the version before")
    what.add_argument(
        "--uninstall", action="store_true", help="remove the program; settings and results stay"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
