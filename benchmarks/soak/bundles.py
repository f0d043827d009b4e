"""10,000 changed bundles against a device with a trust policy: none may be accepted, none may crash it.

python -m benchmarks.soak.bundles [COUNT]        (a minute; writes its section of docs/soak.md)
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.soak.bundle_mutations import MUTATIONS, NOW, Workshop
from benchmarks.soak.isolation import in_batches
from benchmarks.soak.section import write_section
from benchmarks.table import markdown
from gagrad_edge.errors import BundleError
from gagrad_runtime.trust import admit

COUNT, BATCH = 10_000, 1_000
OUTCOMES = ("refused", "accepted", "crashed")


def attempt(first: int, count: int, _: object) -> Counter[str]:
    """Load ``count`` changed bundles, of each kind in turn; return outcomes as ``kind: outcome``."""
    warnings.simplefilter("ignore", UserWarning)  # zipfile warns about duplicate names in a mutant
    found: Counter[str] = Counter()
    kinds = list(MUTATIONS.items())
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        path = Path(folder) / "mutant.gagrad"
        path.write_bytes(shop.good)
        admit(path, shop.policy, now=NOW)  # a valid bundle must load
        for seed in range(first, first + count):
            name, change = kinds[seed % len(kinds)]
            rng = np.random.default_rng(seed)
            mutant = change(shop, rng)
            while mutant == shop.good:
                mutant = change(shop, rng)
            if isinstance(mutant, bytes):
                path.write_bytes(mutant)
            try:
                admit(path if isinstance(mutant, bytes) else mutant, shop.policy, now=NOW)
                outcome = "accepted"
            except BundleError:
                outcome = "refused"
            except Exception as error:  # noqa: BLE001 - any other class is the finding
                outcome = "crashed"
                print(f"\nseed {seed}, {name}: {error!r}")
            found[f"{name}: {outcome}"] += 1
    return found


def main() -> int:
    """Run, write the section, and return 1 if a changed bundle was accepted or a process crashed."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    tally = in_batches(attempt, total, BATCH, None)
    counts = {name: [tally.outcomes[f"{name}: {outcome}"] for outcome in OUTCOMES] for name in MUTATIONS}
    sums = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [[name, *row] for name, row in counts.items()]
    table = markdown(["change", *OUTCOMES], [*rows, ["**all**", *sums]])
    text = f"""A bundle that is signed as a trust policy demands is changed and then loaded under that policy (docs/trust.md).
"Crashed" counts every error other than the error for a bad bundle; processes that died: {len(tally.deaths)}; peak memory of a process:
{tally.peak / 2**20:.0f} MB.

{table}"""
    write_section("Changed bundles", "python -m benchmarks.soak.bundles", text, "cryptography", "msgspec")
    return 1 if sums[1] or sums[2] or tally.deaths else 0


if __name__ == "__main__":
    sys.exit(main())
