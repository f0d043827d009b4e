"""What people do with the pages, in a real browser: by keyboard alone, on a phone, in both languages."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.browser.conftest import AXE, Watched

pytestmark = pytest.mark.slow
PAGES = ("/", "/history", "/gallery", "/queue", "/fleet", "/guide", "/frame/29", "/frame/28", "/login")
SIZES = ((1440, 900), (360, 640))


def post(address: str, sequence: int, kind: str, **fields: Any) -> None:
    """Send an event as a station does."""
    event = {
        "event": kind,
        "station": "late-station",
        "epoch": "ab" * 16,
        "sequence": sequence,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **fields,
    }
    assert httpx.post(f"{address}/events", content=json.dumps(event), timeout=10).status_code == 204


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_axe_finds_nothing(browser: Any, address: str, locale: str, scheme: str, path: str) -> None:
    """No page has a fault that axe-core knows, nor scrolls sideways, on a desktop and on a phone."""
    if not AXE.is_file():
        pytest.skip(f"axe-core is not at {AXE}: make viewer-check fetches it where npm is installed")
    found = []
    for width, height in SIZES:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            locale=locale,
            color_scheme=scheme,
            reduced_motion="reduce",  # what fades in has little contrast for a moment
        )
        page = context.new_page()
        page.goto(address + path, wait_until="load")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        told = page.evaluate(
            "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
            ".map(one => `${one.id}: ${one.nodes[0].html}`)"
        )
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [(width, one) for one in told] + ([(width, f"{wide} px too wide")] if wide > 0 else [])
        context.close()
    assert not found


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_why_and_where_to_look_are_on_the_first_screen(
    browser: Any, address: str, locale: str, width: int, height: int
) -> None:
    """Verdict, camera or part, what to do, the picture with its place and the reason need no scrolling."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale)
    page = context.new_page()
    page.goto(f"{address}/?show=ng", wait_until="load")
    ends = page.evaluate(
        "['.answer', '.look .action', '.layers', '.why .reason']"
        ".map(one => document.querySelector(one).getBoundingClientRect().bottom)"
    )
    nav = page.evaluate("document.querySelector('nav').getBoundingClientRect().top")
    context.close()
    assert all(one <= (height if nav < 100 else nav) for one in ends)


def test_a_new_part_comes_by_itself(watched: Watched, address: str) -> None:
    """An open page shows a part as soon as its station has told of it, and its map when that comes."""
    page = watched.open("/?station=late-station")
    assert page.locator(".empty h2").inner_text() == "No part has come yet."
    said = {"id": 1, "file": "late.png", "verdict": "dent", "probability": 0.9, "ng": True, "outcome": "NG"}
    post(address, 0, "verdict", explain=True, **said)
    page.locator(".answer.is-ng").wait_for(timeout=120_000)
    assert page.locator(".look .headline").inner_text() == "Wait: the reason is being worked out"
    told = {
        "record": "r.json",
        "samples": 5,
        "seconds": 0.1,
        "rcap": None,
        "target": "dent",
        "strength": "strong",
    }
    place = {"box": [1, 1, 9, 9], "area": 64, "share": 0.5, "peak": [5.0, 5.0]}
    post(address, 1, "explained", **said, **told, places=[place], cautions=[], height=64, width=64)
    page.get_by_text("The part", exact=True).wait_for(timeout=120_000)
    assert (
        page.locator(".reason").inner_text() == "The model says dent because of place 1, at the upper left."
    )


def test_the_keyboard_reaches_everything_on_the_ng_wall(watched: Watched) -> None:
    """Enter opens the wall large, arrows go on, space starts and stops, escape comes back."""
    page = watched.open("/gallery")
    page.keyboard.press("Enter")
    name = page.locator("#large-name")
    first = name.inner_text()
    page.keyboard.press("ArrowRight")
    assert name.inner_text() != first
    page.keyboard.press("ArrowLeft")
    assert name.inner_text() == first
    running = page.locator("[data-do=run]")
    assert running.get_attribute("aria-pressed") == "true"
    page.keyboard.press(" ")
    assert running.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('large').open")


def test_labels_by_keys(watched: Watched) -> None:
    """A digit labels and shows the next frame, space goes on without, u takes the last label back."""
    page = watched.open("/queue")
    shown = page.locator("figcaption a")
    first = shown.inner_text()
    page.keyboard.press("2")
    page.wait_for_url("**/queue?given=*")
    second = shown.inner_text()
    assert second != first
    page.keyboard.press("u")
    page.wait_for_url("**/queue?from=*")
    assert shown.inner_text() == first
    page.keyboard.press(" ")
    page.wait_for_url("**/queue?skip=*")
    assert shown.inner_text() != first


def test_frame_map_and_size(watched: Watched) -> None:
    """The slider fades the map out, m and + are keys for it and for the size, the numbers can be hidden."""
    page = watched.open("/frame/29")
    page.keyboard.press("m")
    assert page.evaluate("document.querySelector('.layer-map').style.opacity") == "0"
    wide = "document.querySelector('.zoom .layers').getBoundingClientRect().width"
    before = page.evaluate(wide)
    page.keyboard.press("+")
    assert page.evaluate(wide) == pytest.approx(2 * before, rel=0.05)
    page.locator("#numbers").uncheck()
    assert not page.locator(".places").is_visible()


def test_a_point_in_time_is_two_clicks_away(watched: Watched) -> None:
    """On the history a day and an hour are chosen, and the list begins there."""
    page = watched.open("/history")
    page.locator(".charts figure").nth(0).locator("a").last.click()
    page.wait_for_url("**/history?*day=*")
    page.locator(".charts figure").nth(1).locator("a", has=page.locator("rect.ng")).first.click()
    page.wait_for_url("**until=*")
    assert page.locator(".rows li").count() > 0


def test_the_self_check_counts(watched: Watched) -> None:
    """The guide's five questions say what is right and why."""
    page = watched.open("/guide")
    for number, answer in enumerate((1, 0, 2, 1, 0), start=1):
        page.locator(f"input[name=q{number}][value='{answer}']").check()
    page.locator("#check").click()
    assert page.locator("#score").inner_text() == "4 of 5 right"
    assert page.locator("fieldset.wrong .told").inner_text().startswith("No. ")


def test_controls_have_the_japanese_font(browser: Any, address: str) -> None:
    """Buttons, fields and lists inherit the font: without it their Japanese is boxes on a bare system."""
    context = browser.new_context(locale="ja-JP")
    page = context.new_page()
    page.goto(f"{address}/history", wait_until="load")
    families = page.evaluate(
        "[...document.querySelectorAll('button, input, select, option, summary')]"
        ".map(one => getComputedStyle(one).fontFamily)"
    )
    loaded = page.evaluate("document.fonts.ready.then(() => [...document.fonts].map(one => one.status))")
    context.close()
    assert families
    assert all("UDP Japanese" in one for one in families)
    assert "loaded" in loaded


def test_english_pages_do_not_load_the_font(browser: Any, address: str) -> None:
    """The megabyte of the Japanese font is loaded where Japanese is to be written, and nowhere else."""
    context = browser.new_context(locale="en-GB")
    page, asked = context.new_page(), []
    page.on("request", lambda one: asked.append(one.url))
    page.goto(f"{address}/guide", wait_until="networkidle")
    context.close()
    assert not [one for one in asked if one.endswith(".woff2")]


def test_japanese_names_on_english_pages_are_written(watched: Watched) -> None:
    """File names and classes in Japanese are no boxes, where the system has no such font."""
    page = watched.open("/history")
    page.evaluate("document.fonts.ready")
    page.wait_for_function("[...document.fonts].some(one => one.status === 'loaded')", timeout=120_000)
    widths = page.evaluate(
        """() => {
          const nodes = document.createTreeWalker(document.querySelector(".rows"), NodeFilter.SHOW_TEXT);
          const found = [];
          while (nodes.nextNode()) {
            const node = nodes.currentNode, at = node.data.indexOf("キズ"), range = document.createRange();
            if (at < 0 || !node.parentElement.checkVisibility()) continue;
            range.setStart(node, at); range.setEnd(node, at + 2);
            const size = parseFloat(getComputedStyle(node.parentElement).fontSize);
            found.push(range.getBoundingClientRect().width / size);
          }
          return found;
        }"""
    )
    assert len(widths) > 5
    assert min(widths) > 1.6
