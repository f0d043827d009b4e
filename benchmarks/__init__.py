"""Programs that measure the figures in ``docs/`` and write these pages."""
