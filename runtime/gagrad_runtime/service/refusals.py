"""RefusedError: a request that gets no result, with its HTTP status and the protocol's message."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError, GagradError, InputError, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD, NOT_FOUND, TOO_LARGE, UNSUPPORTED, UNUSABLE, BUSY = 400, 404, 413, 415, 422, 503
"""HTTP statuses of this service. There is no other beside 405, and 401, 403 and 431 of the server."""


class RefusedError(Exception):
    """A request that is answered with ``status`` and ``message``.

    ``retry_after`` are seconds until another try makes sense; None where it does not.
    """

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        self.status = status
        self.message = message
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))
        super().__init__(message)


def bad(what: str, where: str, *, hint: str | None = None, choices: Sequence[str] = ()) -> RefusedError:
    """Return the refusal of a request that is wrong at ``where``: a tensor, a parameter, a header."""
    return RefusedError(BAD, str(SettingError(what, where=where, hint=hint, choices=choices)))


def refusal_of(error: GagradError) -> RefusedError:
    """Return how ``error`` is answered: whose fault it is decides the status."""
    if isinstance(error, (InputError, SettingError)):
        return RefusedError(BAD, str(error))
    if isinstance(error, DeviceError):
        return RefusedError(BUSY, str(error), retry_after=1)
    return RefusedError(UNUSABLE, str(error))
