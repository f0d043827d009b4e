"""``queue.json``: which images to label next, and why. docs/queue.schema.json is made from the structures."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec resolves the fields' types
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from gagrad_edge import schema
from gagrad_edge.errors import InputError
from gagrad_edge.manifest import Sha256  # noqa: TC001 - as above
from gagrad_edge.schema import Strict

if TYPE_CHECKING:
    from pathlib import Path

QUEUE = "queue.json"
Reason = Literal["margin", "disagreement", "covering", "roi", "novelty"]
REASONS: tuple[Reason, ...] = get_args(Reason)


class Queued(Strict, frozen=True, kw_only=True):
    """One image to label."""

    number: int
    """Place in the queue, from 1."""
    row: int
    """Number of the image in the audit."""
    path: str
    sha256: Sha256
    """Of its pixels."""
    file: str
    """Its copy in the queue's folder."""
    map: str
    """Picture of its map; empty where it was not explained."""
    station: str
    part_id: str
    time: datetime | None
    height: int
    """Of the frame, in pixels."""
    width: int
    verdict: str
    """What the model says."""
    ng: bool | None
    probability: float | None
    score: float
    """Sum of the reasons."""
    reasons: dict[Reason, float]
    """How much each says, 0..1."""
    why: list[str]
    """In words, the strongest reason first."""


class Queue(Strict, frozen=True, kw_only=True):
    """``queue.json``."""

    schema: Literal[1] = 1
    bundle: Sha256
    """The bundle that was asked."""
    classes: list[str]
    """Labels that the model knows."""
    images: list[Queued]
    """The image to label first in front."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``queue.json``."""
    return schema.json_schema(Queue)


def read_queue(folder: Path) -> Queue:
    """Return the queue in ``folder``. Raises InputError."""
    path = folder / QUEUE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Queue)
    except FileNotFoundError as error:
        raise InputError(
            "there is no queue in this folder", where=str(folder), hint="gagrad-edge queue AUDIT makes one"
        ) from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the queue cannot be read ({error})", where=str(path)) from error
