"""What another library says of a model's input, and how it completes the options that are given."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gagrad_export.options import InputOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = tuple[int, int] | None
    Numbers = Sequence[float] | None


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a file, a preset or metadata says of the model's input."""

    size: tuple[int, int]
    """(height, width) of the image."""
    mean: list[float]
    """In pixel values 0..1."""
    std: list[float]
    """In pixel values 0..1."""
    fields: dict[str, Any]
    """Values of ``InputOptions`` by field."""
    classes: list[str] = field(default_factory=list)
    """Names of the classes; empty where nothing is said of them."""
    note: str = ""
    """Where this was read and what it says, in words; empty where the caller named the file."""


_OF_THE_RULE = ("resize_to", "crop_ratio", "pad_value", "pad_place")
"""Fields that belong to one rule of resizing."""
_OF_THE_LIBRARY = ("interpolation", "antialias")
"""Fields that belong to one library's resampling."""


def completed(
    read: Preprocessing, options: InputOptions, size: Size, mean: Numbers, std: Numbers
) -> tuple[InputOptions, Size, Numbers, Numbers]:
    """Return options, size, mean and std, completed by what was ``read``; what is given wins.

    Where another rule of resizing is given, what was read for the rule of the file does not apply; likewise
    for the library.
    """
    fields = dict(read.fields)
    for name, dependent in (("resize", _OF_THE_RULE), ("semantics", _OF_THE_LIBRARY)):
        if getattr(options, name) not in (None, fields.get(name)):
            fields = {key: value for key, value in fields.items() if key not in dependent}
    given = {
        each.name: getattr(options, each.name)
        for each in dataclasses.fields(InputOptions)
        if each.name in fields and getattr(options, each.name) != each.default
    }
    whole = dataclasses.replace(options, preprocessing=None, **(fields | given))
    return (
        whole,
        read.size if size is None else size,
        read.mean if mean is None else mean,
        read.std if std is None else std,
    )
