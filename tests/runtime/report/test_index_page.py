"""The page of many images: everything is on it, nothing from elsewhere is run, and it stays light."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gagrad_edge.errors import FrameError
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.report.html_page import fill
from gagrad_runtime.report.index_page import (
    Row,
    empty_row,
    error_row,
    explained_row,
    render_index,
    render_table,
)
from gagrad_runtime.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b.png'


class Elements(html.parser.HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element ``tag``."""
        return [attributes for name, attributes in self.found if name == tag]


def test_a_card_has_what_the_picture_says(make_explanation: Builder, tmp_path: Path) -> None:
    """Verdict, answer, evidence, places, cautions and the way to the picture."""
    covering = Covering("surroundings", 0.94, (0.1,), (True,), (0.93,), (False,))
    one = replace(make_explanation(cautions=("Careful.",)), covering=covering)
    files = one.save(tmp_path)
    page = render_index("part", [explained_row("line/part.png", Report(one), files)], ["fact"])
    cards = Elements(page).of("article")
    assert len(cards) == 1
    assert cards[0]["data-verdict"] == "NG"
    assert cards[0]["data-evidence"] == "strong"
    assert cards[0]["data-cautions"] == "test"
    for words in ("✕ NG", "scratch 97.3 %", "changes the answer", "1: at the upper left", "Careful."):
        assert words in page
    (link,) = {str(a["href"]) for a in Elements(page).of("a")}
    assert (tmp_path / link).is_file()


def test_nothing_from_elsewhere_is_run() -> None:
    """A hostile name of a file or a class is text, and the policy accepts the page's own script only."""
    row = Row(file=HOSTILE, target=HOSTILE, answer=HOSTILE, cautions=((HOSTILE, HOSTILE),), error=HOSTILE)
    page = render_index(HOSTILE, [row], [HOSTILE])
    elements = Elements(page)
    assert len(elements.of("script")) == 1
    assert not elements.of("img")
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    (policy,) = [m["content"] for m in elements.of("meta") if m.get("http-equiv")]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_nothing_is_loaded(make_explanation: Builder) -> None:
    """Every picture is inside the page and decoded when it comes into view; there is no other address."""
    page = render_index("part", [explained_row("a.png", Report(make_explanation()), {})], [])
    elements = Elements(page)
    (picture,) = elements.of("img")
    assert str(picture["src"]).startswith("data:image/jpeg;base64,")
    assert picture["loading"] == "lazy"
    assert not elements.of("link")
    assert "http://" not in page
    assert "https://" not in page


def test_thousands_of_images_stay_light(make_explanation: Builder) -> None:
    """A card of a small thumbnail weighs less than 20 kB, so that 5000 are less than 100 MB."""
    row = explained_row("a.png", Report(make_explanation()), {})
    ten, twenty = (len(render_index("part", [row] * count, [])) for count in (10, 20))
    assert (twenty - ten) / 10 < 20_000


def test_images_without_an_explanation_are_on_the_page(make_explanation: Builder) -> None:
    """Nothing found and errors have a card each, and can be filtered."""
    rows = [
        empty_row("good.png", make_explanation().frame),
        error_row("gone.png", FrameError("there is no such file", where="gone.png")),
    ]
    page = render_index("part", rows, [])
    assert "nothing found" in page
    assert "Not explained: there is no such file" in page
    assert '<option value="not explained">not explained (1)</option>' in page


def test_the_table_is_read_back(make_explanation: Builder) -> None:
    """Each row is a line; a name that a spreadsheet would run as a formula is text there."""
    row = explained_row("=HYPERLINK(1).png", Report(make_explanation(classes=("良品", "打痕", "キズ"))), {})
    data = render_table([row, row])
    first, second = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    assert first == second
    assert first["file"] == "'=HYPERLINK(1).png"
    assert first["target"] == "キズ"
    assert abs(float(first["probability"]) - 0.973) < 1e-6
    assert first["verdict"] == "NG"


def test_a_template_keeps_what_it_is_given() -> None:
    """The digest is of the style as it stands on the page, with its values."""
    page = fill(
        '<meta content="$csp"><style>a { b: $legend }</style><p>$words</p>', {"legend": "red", "words": "x"}
    )
    digest = base64.b64encode(hashlib.sha256(b"a { b: red }").digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert "<p>x</p>" in page
