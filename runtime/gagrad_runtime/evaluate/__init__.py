"""Evaluation of explanations: many images, several methods, the field's metrics, one report."""
