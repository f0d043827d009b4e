"""When something is made: now, or what ``SOURCE_DATE_EPOCH`` says, for bytes that can be made again."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from gagrad_edge.errors import SettingError

VARIABLE = "SOURCE_DATE_EPOCH"


def creation_time() -> datetime:
    """Return the time of creation in UTC, to the second. Raises SettingError when the variable is wrong.

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
