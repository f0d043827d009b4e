"""Make the Japanese font: a subset of BIZ UDPGothic as WOFF2, without hints.

    python -m examples.language.font BIZUDPGothic-Regular.ttf

It needs fonttools and brotli. The font is that of github.com/googlefonts/morisawa-biz-ud-gothic, which Debian
has as fonts-morisawa-bizud-gothic; the file in the package was made of version 1.05.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gagrad_runtime.language.font import FONT

SIGNS = "…–—‘’“”•·×−→←↑↓⇒○●◎△▲▽▼□■◇◆✓①②③④⑤⑥⑦⑧⑨⑩∞≤≥≦≧≠±〜～﨑髙"
"""Signs of ours, and two letters of names that JIS X 0208 lacks."""


def letters() -> set[int]:
    """Return the code points: JIS X 0208, Latin with accents, half and full width, and ``SIGNS``."""
    found = {*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0xFF01, 0xFF5F), *range(0xFF61, 0xFFA0)}
    found |= set(map(ord, SIGNS))
    for row in range(0x21, 0x7F):
        for cell in range(0x21, 0x7F):
            letter = bytes([0x1B, 0x24, 0x42, row, cell]).decode("iso2022_jp", "ignore")
            found |= set(map(ord, letter))
    return found


def main() -> None:
    """Write the font into the package."""
    from fontTools import subset  # type: ignore[import-not-found,import-untyped,unused-ignore]

    source = Path(sys.argv[1])
    options = subset.Options(
        flavor="woff2", hinting=False, layout_features=["kern", "palt", "vert"], name_IDs=["*"]
    )
    options.notdef_outline = True
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=letters())
    subsetter.subset(font)
    subset.save_font(font, str(FONT), options)
    print(f"{FONT.name}: {FONT.stat().st_size} bytes, {len(font.getBestCmap())} letters")


if __name__ == "__main__":
    main()
