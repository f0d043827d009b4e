"""The Japanese font: BIZ UDPGothic, whose letters are made to be read easily (SIL Open Font License 1.1).

It is a subset: JIS X 0208 with both levels of kanji, Latin letters and signs. Pages serve the file as it is,
and pictures are written with it everywhere. examples/language/font.py made it; the licence is beside it.
"""

from __future__ import annotations

from pathlib import Path

FONT = Path(__file__).parent / "fonts" / "biz-udpgothic.woff2"
"""The regular weight, WOFF2; FreeType reads it, too."""
LICENCE = FONT.with_name("OFL.txt")
