"""The audit of a plant's history: all images predicted, a sample explained, one table, one report."""
