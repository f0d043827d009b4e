"""The pages, in both languages: they are there, hold hostile names, and load nothing from elsewhere."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gagrad_runtime.viewer.database import Database
from gagrad_runtime.viewer.pages.rendering import environment
from gagrad_runtime.viewer.pages.static import _files
from gagrad_runtime.web.access import Person
from gagrad_runtime.web.guard import Rules
from tests.runtime.viewer.pages.site import PAGES, Site, part, site

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{name}{{7*7}}%s\u202egnp.jpg"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory):
    """Open a site whose parts have hostile names, one of each state."""
    with site(tmp_path_factory.mktemp("site")) as made:
        part(made, 1, name=HOSTILE, verdict=HOSTILE, part=HOSTILE, cautions=(HOSTILE, "unsure"))
        part(made, 2, name="ok.png", verdict="ok", ng=False, explained=False)
        part(made, 3, cautions=("dark-image",))
        part(made, 4, station="line-5", verdict="stain", cautions=("covering-finds-nothing",))
        part(made, 5, explained=False)
        made.tell("quarantined", id=6, file=HOSTILE, reason=HOSTILE)
        made.tell("source", state="lost", source=HOSTILE, reason=HOSTILE)
        made.ask("POST", "/labels", data={"frame": "1", "label": "<b>bad</b>", "next": "/frame/1"})
        yield made


class Reader(HTMLParser):
    """What a page loads, where it leads, and what it runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.tags.append(tag)
        given = dict(attributes)
        for name in ("src", "href", "action", "hx-sse:connect", "data-frame", "data-map"):
            if given.get(name):
                self.addresses.append(str(given[name]))
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("address", PAGES)
def test_pages_hold_hostile_names(full: Site, address: str, language: str) -> None:
    """Whatever files, classes, parts, cautions and labels are called, they are text and nothing else."""
    answer = full.get(address, language)
    assert answer.status_code == 200
    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text
    read = Reader(answer.text)
    assert "<script>alert" not in answer.text
    assert "onerror=alert(1)>" not in answer.text.replace("onerror=alert(1)&gt;", "")
    assert "\u202e" not in answer.text
    assert "<b>bad" not in answer.text
    assert not read.inline


@pytest.mark.parametrize("address", PAGES)
def test_everything_comes_from_our_own_origin(full: Site, address: str) -> None:
    """Each address on a page is one of this server, and each file that it loads is there."""
    read = Reader(full.get(address).text)
    for one in read.addresses:
        assert re.match(r"#|/(?!/)", one), one
        if one.startswith("/static/"):
            assert full.get(one).status_code == 200, one


def test_files_load_nothing_from_elsewhere() -> None:
    """Style and scripts of ours name no other origin; vendored ones are those whose hashes are kept."""
    files = _files()
    for name, (_, data) in files.items():
        if name.endswith((".css", ".js")) and not name.startswith("vendor/"):
            assert not re.search(rb"https?://|url\(['\"]?//", data), name
    from gagrad_runtime.viewer.pages import static

    room = static.resources.files("gagrad_runtime.viewer") / "static" / "vendor"
    lines = (room / "SHA256SUMS").read_text().split("\n")
    sums = {line.split()[1]: line.split()[0] for line in lines if line}
    scripts = {one.name for one in room.iterdir() if one.name.endswith((".js", ".css"))}
    assert scripts == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((room / name).read_bytes()).hexdigest() == digest
    assert (room / "htmx.LICENSE").is_file()


@pytest.mark.parametrize("address", PAGES)
def test_the_first_load_is_small(full: Site, address: str) -> None:
    """Page, style and scripts have at most 150 kB, without the parts' pictures and the Japanese font."""
    text = full.get(address).text
    loaded = {one for one in Reader(text).addresses if re.search(r"\.(js|css|svg)(\?|$)", one)}
    assert len(text.encode()) + sum(len(full.get(one).content) for one in loaded) < 150_000


def test_the_first_screen_says_why_and_where_to_look(full: Site) -> None:
    """The page of an NG part says verdict, camera or part, why, and what to do, before anything else."""
    text = full.get("/frame/1", "en").text
    for said in ("Camera or part?", "Why NG?", "Not certain: a person decides", "Look at the part yourself."):
        assert said in text
    camera = full.get("/frame/3", "ja").text
    for said in ("カメラを先に確認", "なぜ NG？", "画像がほぼ真っ暗です。", "照明と露光を確認してください。"):
        assert said in camera


def test_the_language_is_chosen(full: Site) -> None:
    """An address, then a cookie, then what the browser likes decide the language; a choice is kept."""
    assert 'lang="ja"' in full.get("/", "fr, ja;q=0.5").text
    chosen = full.get("/?lang=ja", "en")
    assert chosen.headers["content-language"] == "ja"
    assert "language=ja" in chosen.headers["set-cookie"]
    assert full.get("/", "en", cookie="language=ja").headers["content-language"] == "ja"
    assert full.get("/?lang=xx", "en", cookie="language=zz").headers["content-language"] == "en"


def test_nothing_there_is_a_page(full: Site) -> None:
    """A frame that is gone and an address that never was get a page with a way back, and 404."""
    for address in ("/frame/999999", "/frame/x", f"/frame/{1 << 70}", "/nowhere"):
        answer = full.get(address, "ja")
        assert answer.status_code == 404
        assert "ここには何もありません。" in answer.text


def test_an_empty_viewer_says_so(tmp_path) -> None:
    """Before the first part every page is there and says that nothing has come."""
    with site(tmp_path) as made:
        for address in PAGES:
            assert made.get(address).status_code == (404 if "/frame/" in address else 200)
        assert "No part has come yet." in made.get("/").text


def test_a_full_disk_is_said_on_every_page(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be stored, each page says so."""
    monkeypatch.setattr(full.viewer.database, "full", True)
    assert isinstance(full.viewer.database, Database)
    for address in PAGES:
        assert 'role="alert"' in full.get(address).text


def test_labels_are_given_and_taken_back(tmp_path) -> None:
    """A form gives a label and undo takes it back; the browser goes on to the page that the form names."""
    with site(tmp_path) as made:
        part(made, 1)
        given_label = made.ask(
            "POST", "/labels", data={"frame": "1", "label": "dent", "next": "/queue?given=1"}
        )
        assert (given_label.status_code, given_label.headers["location"]) == (303, "/queue?given=1")
        assert "Label: dent" in made.get("/frame/1").text
        made.ask("POST", "/labels/undo", data={"frame": "1", "next": "/frame/1"})
        assert "Label: dent" not in made.get("/frame/1").text
        assert made.ask("POST", "/labels", data={"frame": "77", "label": "dent"}).status_code == 400
        csv = b"frame,name,label\r\n1,part.png,stain\r\n"
        came = made.ask("POST", "/labels/import", files={"file": ("labels.csv", csv)})
        assert came.status_code in {200, 201, 400}


@pytest.mark.parametrize(
    "there",
    ["//evil.example/x", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "\r\nx: y", ""],
)
def test_a_form_leads_to_this_server_alone(full: Site, there: str) -> None:
    """Whatever a form names as its next page, the browser stays here."""
    answer = full.ask("POST", "/labels", data={"frame": "1", "label": "x", "next": there})
    assert re.fullmatch(r"/[^/\\\r\n][^\r\n]*|/", answer.headers["location"])


def test_who_may_only_look_gets_no_forms(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the role ``see`` pages have no form that labels, and the addresses refuse."""
    rules = Rules("127.0.0.1", passwords=True)
    with site(tmp_path, rules) as made:
        part(made, 1)
        number = rules.sessions.begin(Person("aiko", "see"))
        cookie = {"cookie": f"{rules.cookie}={number}"}
        for address in ("/frame/1", "/queue"):
            text = made.get(address, **cookie).text
            assert 'action="/labels"' not in text
            assert "aiko" in text
        data = {"frame": "1", "label": "x"}
        assert made.ask("POST", "/labels", data=data, headers=cookie).status_code == 403


FIELDS = ("search", "station", "outcome", "verdict", "caution", "state", "label", "looked", "below", "until")
MORE = ("before", "day", "show", "lang", "skip", "from", "given", "trouble")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    address=st.sampled_from(PAGES),
    fields=st.dictionaries(
        st.sampled_from(FIELDS + MORE),
        st.one_of(
            st.text(max_size=30), st.integers().map(str), st.floats().map(str), st.datetimes().map(str)
        ),
    ),
)
def test_no_question_breaks_a_page(full: Site, address: str, fields: dict[str, str]) -> None:
    """Whatever the fields of an address hold, the answer is a page."""
    from urllib.parse import urlencode

    query = urlencode(fields, errors="surrogatepass")
    answer = full.get(f"{address.partition('?')[0]}?{query}")
    assert answer.status_code == 200, query


def test_templates_are_escaped() -> None:
    """The templates escape whatever they write, also one that nobody thought of."""
    assert environment().from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
