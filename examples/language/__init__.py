"""How the catalogues of translations are kept, and how the Japanese font was made."""

from __future__ import annotations
