"""How frames are fed, as other libraries say it: their files, presets and metadata, read as options."""

from __future__ import annotations

from gagrad_export.preprocessing.reading import read_preprocessing, with_preprocessing
from gagrad_export.preprocessing.recipe import Preprocessing
from gagrad_export.preprocessing.ultralytics import ultralytics_recipe

__all__ = ["Preprocessing", "read_preprocessing", "ultralytics_recipe", "with_preprocessing"]
