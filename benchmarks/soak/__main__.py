"""All fault tests, one after the other: ``make soak``."""

from __future__ import annotations

import subprocess
import sys

PROGRAMS = (
    "bundles",
    "images",
    "poison",
    "fuzz",
    "kills",
    "installs",
    "camera",
    "power",
    "full",
    "broker",
    "day",
    "clock",
    "faults",
    "peers",
    "hardened",
    "viewer_kills",
    "viewer_held",
    "viewer_stations",
)


def main() -> int:
    """Run each fault test in a process of its own; return 1 if one failed."""
    failed = []
    for name in PROGRAMS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.soak.{name}"], check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
