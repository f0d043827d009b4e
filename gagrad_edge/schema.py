"""Bases of the structures in a bundle's manifest, and the JSON Schemas that are published."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the manifest's structures: immutable, and an unknown field is an error."""


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a structure or a union, whatever was imported before.

    Python keeps the first of two equal unions that it meets, so the order of a union's types is chance.
    """
    made: dict[str, Any] = _in_order(msgspec.json.schema(kind))
    return made


def _in_order(part: Any) -> Any:
    if isinstance(part, list):
        return [_in_order(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {name: _in_order(value) for name, value in part.items()}
    if isinstance(made.get("anyOf"), list):
        made["anyOf"].sort(key=lambda one: json.dumps(one, sort_keys=True))
    return made
