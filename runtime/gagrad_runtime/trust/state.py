"""Newest versions and times that a device has accepted, stored so that neither goes back.

One small JSON file, replaced as a whole and under a lock, so that two processes that load at once both count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import TrustError
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec reads it at run time
from gagrad_edge.trust.release import Product, Time, Version  # noqa: TC001 - msgspec reads them at run time
from gagrad_runtime.machine.lock import locked
from gagrad_runtime.machine.regular import read_regular

if TYPE_CHECKING:
    from pathlib import Path


_LARGEST = 1 << 20
"""Bytes that are read of the file, which has some hundred."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Newest version of each product, newest signature and newest clock."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    versions: dict[Product, Version] = {}
    contents: dict[Product, Sha256] = {}
    """SHA-256 of the manifest of that version."""
    signed: Time | None = None
    """Newest signing time of an accepted bundle: the present is later than that."""
    clock: Time | None = None
    """Newest time that this device's clock has shown."""

    def merged(self, other: State) -> State:
        """Return a state with the newer one of each value of ``self`` and ``other``."""
        versions, contents = dict(self.versions), dict(self.contents)
        for product, version in other.versions.items():
            if version > versions.get(product, 0):
                versions[product] = version
                contents.pop(product, None)
            if version == versions[product] and product in other.contents:
                contents.setdefault(product, other.contents[product])
        return State(
            versions=versions,
            contents=contents,
            signed=max((time for time in (self.signed, other.signed) if time), default=None),
            clock=max((time for time in (self.clock, other.clock) if time), default=None),
        )


def read_state(path: Path | None) -> State:
    """Return the state in the file ``path``; an empty one without such a file. Raises TrustError."""
    if path is None:
        return State()
    try:
        return msgspec.json.decode(read_regular(path, _LARGEST), type=State)
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise TrustError(
            f"the versions that this device has stored cannot be read ({error})",
            where=str(path),
            hint="give this user the right to read it; if it is damaged, remove it, and state the least "
            "versions in the trust policy under [products]",
        ) from error


def remember(path: Path, new: State) -> None:
    """Merge ``new`` into the file ``path``. Raises OutputError, and TrustError if it cannot be read."""
    make_folder(path.parent)
    with locked(path.with_name(path.name + ".lock")):
        known = read_state(path)
        merged = known.merged(new)
        if merged != known:
            write_atomic(path, [msgspec.json.format(msgspec.json.encode(merged, order="sorted")) + b"\n"])
