"""The packages of the extras ``audit`` and ``ray``, imported when needed: a device does without them."""

from __future__ import annotations

import importlib
from typing import Any

from gagrad_edge.errors import MissingPackageError

INSTALL = 'pip install "gagrad-edge[cpu,audit]"'
RAY = 'pip install "gagrad-edge[cpu,audit,ray]"'


def package(name: str, install: str = INSTALL) -> Any:
    """Return the module ``name``. Raises MissingPackageError with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        raise MissingPackageError(
            f"an audit needs the package {top}, which is not installed ({error})",
            where=top,
            hint=install,
        ) from error


def arrow() -> Any:
    """Return ``pyarrow``. Raises MissingPackageError."""
    return package("pyarrow")


def parquet() -> Any:
    """Return ``pyarrow.parquet``. Raises MissingPackageError."""
    return package("pyarrow.parquet")
