"""The table of rule tests: every registered rule has at least one row here (a test holds that).

One module per family, as under ``differentiate/rules``; each lists its ``ROWS``.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.export.differentiate.gradient_check import Row

TABLE: list[Row] = [
    row
    for module in iter_modules(__path__)
    for row in getattr(import_module(f"{__name__}.{module.name}"), "ROWS", [])
]
