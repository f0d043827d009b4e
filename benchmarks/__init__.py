"""Programs that measure and print the tables in ``docs/``."""
