"""The rules, by family. Importing this package registers them all."""

from __future__ import annotations

from gagrad_export.differentiate.rules import (  # noqa: F401 - imported for their registration
    activation,
    arithmetic,
    constant,
    convolution,
    linear,
    pooling,
    reduction,
    reshaping,
    resizing,
    sampling,
)
