"""``preprocessing`` as it is given: the path of a file, or the name of a preset of torchvision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gagrad_export.preprocessing.files import read_file
from gagrad_export.preprocessing.recipe import completed
from gagrad_export.preprocessing.torchvision import PREFIX, torchvision_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_export.options import InputOptions
    from gagrad_export.preprocessing.recipe import Numbers, Preprocessing, Size

NONE = "none"
"""Asks for nothing to be read, of the model's own file neither."""


def with_preprocessing(
    options: InputOptions, size: Size, mean: Numbers, std: Numbers
) -> tuple[InputOptions, Size, Numbers, Numbers, str]:
    """Return options, size, mean and std, completed by what the options name, and a note on what was read.

    What is given wins. Raises SettingError.
    """
    if options.preprocessing is None:
        return options, size, mean, std, ""
    if str(options.preprocessing) == NONE:
        return dataclasses.replace(options, preprocessing=None), size, mean, std, ""
    read = read_preprocessing(options.preprocessing)
    return *completed(read, options, size, mean, std), read.note


def read_preprocessing(source: str | Path) -> Preprocessing:
    """Return what the file or the preset ``source`` says. Raises SettingError."""
    if str(source).startswith(PREFIX):
        return torchvision_recipe(str(source))
    return read_file(source)
