"""The text files of a kit: install.sh, the trust policy, and the station's settings."""

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


def trust_policy(keys: Sequence[PublicKey], threshold: int, product: str, version: int) -> str:
    """Return the text of the device's first trust policy: ``keys``, and ``product`` from ``version`` on."""
    lines = [f"threshold = {threshold}", 'state = "@DATA@/trust-state.json"', ""]
    for key in keys:
        lines += ["[[keys]]", f'name = "{key.name}"', f'key = "{key.text}"', ""]
    return "\n".join([*lines, "[products]", f"{_bare(product)} = {version}", ""])


def station_config(language: str = "en") -> str:
    """Return the text of the station's first settings, with the ``language`` of its pictures."""
    return (
        _STATION
        if language == "en"
        else _STATION.replace("\n[retention]", f'language = "{language}"\n\n[retention]', 1)
    )


def _bare(key: str) -> str:
    return key if "." not in key else f'"{key}"'
