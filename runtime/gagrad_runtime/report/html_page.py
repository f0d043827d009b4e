"""What pages have in common: one file, no network, foreign text escaped, no script but their own."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.printable import printable
from gagrad_runtime.language import current
from gagrad_runtime.language.font import FONT
from gagrad_runtime.report.colour import colour_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

_STOPS = 17
"""Colours of the legend's gradient; between them the browser interpolates."""


def escape(text: str) -> str:
    """Return ``text`` as a page shows it: in the printable form, and no markup."""
    # Lone surrogates are in the printable form already; html.escape does the quotes, too.
    return html.escape(printable(text))


def legend() -> str:
    """Return the colours of the maps, from the scale's foot to its top, as a CSS gradient."""
    bar = colour_bar(256, 1)[::-1, 0]
    stops = (bar[round(place)] for place in np.linspace(0, 255, _STOPS))
    colours = ("#{:02x}{:02x}{:02x}".format(*stop) for stop in stops)
    return f"linear-gradient(90deg, {', '.join(colours)})"


def style() -> str:
    """Return the style that the pages of many images have in common."""
    sheet = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return Template(sheet).substitute(legend=legend()).rstrip("\n")


def font() -> str:
    """Return the style that brings the Japanese font into the page; nothing in English."""
    if current() == "en":
        return ""
    data = base64.b64encode(FONT.read_bytes()).decode()
    return (
        '\n  @font-face { font-family: "BIZ UDPGothic"; '
        f'src: url(data:font/woff2;base64,{data}) format("woff2"); }}\n'
        '  body { font-family: "BIZ UDPGothic", system-ui, sans-serif; }'
    )


def image(jpeg: bytes, words: str) -> str:
    """Return the element that shows ``jpeg``, inside the page; ``words`` are read aloud for it."""
    data = base64.b64encode(jpeg).decode()
    return f'<img alt="{escape(words)}" loading="lazy" decoding="async" src="data:image/jpeg;base64,{data}">'


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the page ``template`` with ``values``, which are markup already.

    ``$csp`` becomes the page's Content-Security-Policy: nothing is loaded from anywhere, pictures are inside
    the page, and of styles and scripts only those of the template are accepted, by their SHA-256. What a
    file's name or a class could smuggle in is not run.
    """
    hashes = {
        tag: " ".join(
            _digest(Template(text).substitute(values))
            for text in re.findall(f"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
        )
        for tag in ("style", "script")
    }
    inside = "data:; font-src data:" if "data:font/" in values.get("font", "") else "data:"
    csp = (
        f"default-src 'none'; img-src {inside}; style-src {hashes['style']}; script-src {hashes['script']}; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(template).substitute(values, csp=csp)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
