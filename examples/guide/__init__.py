"""How the examples of the viewer's guide were made."""
