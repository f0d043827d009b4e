"""Free the batch: a graph that was inferred for a fixed number of rows becomes one for any number."""

from __future__ import annotations

from gagrad_export.canonicalise.batch import along, arithmetic, indexing, reshaping  # noqa: F401 - they register rules
from gagrad_export.canonicalise.batch.place import Place
from gagrad_export.canonicalise.batch.values import BATCH, Batch
from gagrad_export.canonicalise.batch.walk import free_batch

__all__ = ["BATCH", "Batch", "Place", "free_batch"]
