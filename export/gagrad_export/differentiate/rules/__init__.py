"""The differentiation rules, one module per operator family. Importing this package registers all of them."""

from __future__ import annotations

from gagrad_export.differentiate.rules import (  # noqa: F401 - imported for their registration
    activation,
    arithmetic,
    constant,
    convolution,
    einsum,
    indexing,
    linear,
    normalisation,
    padding,
    pooling,
    quantisation,
    rearrangement,
    reduction,
    refused,
    reshaping,
    resizing,
    sampling,
    scatter,
    selection,
    shift,
    trigonometry,
)
