"""A viewer that runs: its database, what it asks it, whom it tells, and who may look."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gagrad_runtime.viewer.database import Database
from gagrad_runtime.viewer.live import Changes
from gagrad_runtime.viewer.queries import Queries
from gagrad_runtime.viewer.retention import Limits, Retention

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gagrad_runtime.web.guard import Rules
    from gagrad_runtime.web.passwords import Passwords


@dataclass
class Viewer:
    """The viewer whose data are in a folder; a route finds it in ``request.app.state.viewer``."""

    database: Database
    queries: Queries
    changes: Changes
    rules: Rules
    passwords: Passwords | None = None
    token: str | None = None
    """Token of the stations; None takes events from everybody who can reach the receiver."""
    retention: Retention | None = field(default=None, repr=False)


@contextlib.contextmanager
def opened(
    folder: Path,
    *,
    rules: Rules,
    passwords: Passwords | None = None,
    token: str | None = None,
    limits: Limits | None = None,
) -> Iterator[Viewer]:
    """Open the viewer with the data in ``folder``, and close it. Raises OutputError."""
    with contextlib.ExitStack() as stack:
        database = Database(folder)
        stack.callback(database.close)
        queries = Queries(database)
        stack.callback(queries.close)
        retention = None if limits is None else stack.enter_context(Retention(database, limits))
        yield Viewer(database, queries, Changes(), rules, passwords, token, retention)
