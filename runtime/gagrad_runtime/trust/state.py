"""What a device remembers of the bundles it has loaded, so that neither versions nor time go back.

One small JSON file, replaced as a whole and under a lock: two processes that load at once both count.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Annotated

import msgspec

from gagrad_edge.atomic import make_folder, output_error, write_atomic
from gagrad_edge.errors import TrustError
from gagrad_edge.trust.release import Product, Time, Version  # noqa: TC001 - msgspec reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The newest of each thing that was ever accepted here."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    versions: dict[Product, Version] = {}
    signed: Time | None = None
    """Newest time at which an accepted bundle was signed: it is proven that it is later than this."""
    clock: Time | None = None
    """Newest time that this device's clock showed, right or wrong."""

    def merged(self, other: State) -> State:
        """Return the newest of both."""
        versions = dict(self.versions)
        for product, version in other.versions.items():
            versions[product] = max(version, versions.get(product, 0))
        return State(
            versions=versions,
            signed=max((time for time in (self.signed, other.signed) if time), default=None),
            clock=max((time for time in (self.clock, other.clock) if time), default=None),
        )


def read_state(path: Path | None) -> State:
    """Return what is remembered in ``path``; nothing when there is no such file. Raises TrustError."""
    if path is None:
        return State()
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TrustError(
            f"what this device remembers of versions cannot be read ({error})",
            where=str(path),
            hint="give this user the right to read it; if it is damaged, remove it, and state the least "
            "versions in the trust policy under [products]",
        ) from error


def remember(path: Path, news: State) -> None:
    """Merge ``news`` into the file ``path``. Raises OutputError, and TrustError when it cannot be read."""
    make_folder(path.parent)
    with _locked(path.with_name(path.name + ".lock")):
        known = read_state(path)
        merged = known.merged(news)
        if merged != known:
            write_atomic(path, [msgspec.json.format(msgspec.json.encode(merged, order="sorted")) + b"\n"])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; the system lets go of it when a process dies."""
    import fcntl  # noqa: PLC0415 - a device with a policy runs Linux; importing must work elsewhere

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise output_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
