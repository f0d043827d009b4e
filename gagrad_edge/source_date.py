"""The creation time of a file: now, or ``SOURCE_DATE_EPOCH`` if that is set, for reproducible bytes."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from gagrad_edge.errors import SettingError

VARIABLE = "SOURCE_DATE_EPOCH"


def creation_time() -> datetime:
    """Return the creation time in UTC, to the second. Raises SettingError if the variable is not a number.

    See https://reproducible-builds.org/specs/source-date-epoch/.
    """
    given = os.environ.get(VARIABLE)
    try:
        moment = (
            datetime.now(timezone.utc) if given is None else datetime.fromtimestamp(int(given), timezone.utc)
        )
    except (ValueError, OverflowError, OSError) as error:
        raise SettingError(
            f"{given!r} is not a number of seconds",
            where=VARIABLE,
            hint="set it to seconds since 1970, or unset it",
        ) from error
    return moment.replace(microsecond=0)


def creation_text() -> str:
    """Return ``creation_time`` as ``2026-11-25T09:30:00Z``."""
    return creation_time().strftime("%Y-%m-%dT%H:%M:%SZ")
