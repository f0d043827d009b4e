"""The text files of a kit: install.sh, README.txt, the trust policy, and the station's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.kit import Kit
    from gagrad_edge.trust.keys import PublicKey

_INSTALL = """#!/bin/sh
# Installs this kit: sh install.sh (--help tells more). Needs Python {python} and nothing else.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
python=
if [ "${{1-}}" = "--python" ]; then
    [ $# -ge 2 ] || {{ echo "Error: --python needs the name of an interpreter" >&2; exit 2; }}
    python=$2
    shift 2
fi
for name in ${{python:-python{python} python3}}; do
    if command -v "$name" >/dev/null 2>&1; then
        # From the kit's wheel: nothing of it is installed yet. -I: nothing of this user's Python either.
        exec "$name" -I -B -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from gagrad_runtime.install.__main__ import main
sys.exit(main())' "$here/wheels/{wheel}" "$here" "$@"
    fi
done
echo "Error: there is no ${{python:-python{python}}} here" >&2
echo "  How to mend it: install Python {python}, or give its place: sh install.sh --python PLACE" >&2
exit 5
"""

_README = """{product} {version} for {platform}
gagrad-edge {gagrad_edge}, packed {created}

Install (no network is needed):
    sudo sh install.sh

To look first, or without root:
    sh install.sh --help
    sh install.sh --prefix "$HOME/gagrad-edge"

It checks every file, installs the program beside the one that is there, runs the model's self-test, and
only then puts the new version in use and starts the service gagrad-edge-watch. If anything fails, or the
power goes, the version before stays in use: run it again. To go back by hand:
    sudo sh install.sh --rollback

Settings   /etc/gagrad-edge/station.toml   what is watched; written once, then yours
           /etc/gagrad-edge/trust.toml     whose models it runs; written once, then yours
Results    /var/lib/gagrad-edge/results
Log        journalctl -u gagrad-edge-watch

Needs: {machine}, Python {python}, glibc {glibc} or newer.
What is in it: sbom.cdx.json. {signed}
"""

_STATION = """# What this station does; docs/watch.md and examples/station.toml have every key.
bundle = "@PREFIX@/current/bundle.gagrad"
source = "@DATA@/incoming"          # a folder, a video file, or rtsp://…
output = "@DATA@/results"
trust = "@SETTINGS@/trust.toml"

[retention]
keep = 10000                        # explanations; the oldest go
disk_share = 0.9                    # and while more of the disk than this is used

[metrics]                           # http://127.0.0.1:9464/metrics and /health
port = 9464
"""


def install_script(kit: Kit, wheel: str) -> str:
    """Return the text of ``install.sh``; ``wheel`` is the file name of gagrad-edge's own wheel."""
    return _INSTALL.format(python=kit.python, wheel=wheel)


def readme(kit: Kit, signers: Sequence[PublicKey]) -> str:
    """Return the text of ``README.txt``, for the technician who installs the kit."""
    signed = "The kit is signed by " + ", ".join(key.id[:16] for key in signers) + "."
    fields = {name: value for name, value in vars(kit).items() if isinstance(value, str | int)}
    return _README.format(**fields, signed=signed if signers else "The kit is not signed.")


def trust_policy(keys: Sequence[PublicKey], threshold: int, product: str, version: int) -> str:
    """Return the text of the device's first trust policy: ``keys``, and ``product`` from ``version`` on."""
    lines = [f"threshold = {threshold}", 'state = "@DATA@/trust-state.json"', ""]
    for key in keys:
        lines += ["[[keys]]", f'name = "{key.name}"', f'key = "{key.text}"', ""]
    return "\n".join([*lines, "[products]", f"{_bare(product)} = {version}", ""])


def station_config() -> str:
    """Return the text of the station's first settings."""
    return _STATION


def _bare(key: str) -> str:
    return key if "." not in key else f'"{key}"'
