"""The demo's networks, their class names, sample parts and where the defects are."""
