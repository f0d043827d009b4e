"""What the address of a page asks for, read without ever failing: what cannot be read was not asked."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from gagrad_runtime.viewer.queries import Filter
from gagrad_runtime.viewer.values import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request

    from gagrad_runtime.viewer.queries import Queries
    from gagrad_runtime.viewer.viewer import Viewer
    from gagrad_runtime.web.access import Person

_LONGEST = 300
"""Characters of a text that are read."""
_LARGEST = 1 << 62
"""The largest number: SQLite's are of 64 bits."""


def text(given: Mapping[str, str], name: str) -> str:
    """Return the text of the field ``name``; empty without one."""
    return given.get(name, "")[:_LONGEST].replace("\0", "").encode("utf-8", "replace").decode()


def number(given: Mapping[str, str], name: str) -> int | None:
    """Return the whole number of the field ``name``."""
    found = text(given, name)
    return int(found) if found.isascii() and found.isdecimal() and int(found) < _LARGEST else None


def share(given: Mapping[str, str], name: str) -> float | None:
    """Return the percentage in the field ``name``, as 0 to 1."""
    try:
        found = float(text(given, name)) / 100
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def moment(given: Mapping[str, str], name: str) -> int | None:
    """Return the time in the field ``name``, of this device's zone, as seconds since 1970."""
    try:
        return int(datetime.fromisoformat(text(given, name)).astimezone().timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def wanted(given: Mapping[str, str]) -> Filter:
    """Return the filter of the history that the fields ask for."""
    outcome, state, label = text(given, "outcome"), text(given, "state"), text(given, "label")
    return Filter(
        station=text(given, "station") or None,
        until=moment(given, "until"),
        outcome=cast("Any", outcome) if outcome in {"OK", "NG"} else None,
        state=state if state in STATES else None,
        verdict=text(given, "verdict") or None,
        highest=share(given, "below"),
        caution=text(given, "caution") or None,
        label=label[1:] if label.startswith("=") else None,
        unlabelled=label == "none",
        not_looked=text(given, "looked") == "no",
        text=text(given, "search"),
    )


def address(path: str, given: Mapping[str, str], **changed: Any) -> str:
    """Return the address of ``path`` with the fields of ``given``, some ``changed``; None takes one away."""
    fields = {**given, **changed}
    fields.pop("lang", None)
    left = {name: value for name, value in fields.items() if value not in (None, "")}
    return f"{path}?{urlencode(left)}" if left else path


def person_of(request: Request[Any, Any, Any]) -> Person | None:
    """Return who asks; the guard has noted it."""
    return cast("Person | None", request.scope.get("state", {}).get("person"))


def queries_of(request: Request[Any, Any, Any]) -> Queries:
    """Return what answers the questions of a page."""
    return cast("Viewer", request.app.state.viewer).queries


def may_label(request: Request[Any, Any, Any]) -> bool:
    """Return whether who asks may give labels."""
    person = person_of(request)
    return person is not None and person.may_label
