"""How many samples a map needs: estimators of the paper's map, compared on trained models."""
