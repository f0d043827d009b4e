"""Who may ask: addresses, tokens, passwords, sessions, and the guard before the routes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gagrad_edge.errors import SettingError
from gagrad_runtime.web.access import Person, check_address, has_token, is_loopback, read_token
from gagrad_runtime.web.guard import HEADERS, Guard, Rules
from gagrad_runtime.web.passwords import Passwords, password_line
from gagrad_runtime.web.server import Tls
from gagrad_runtime.web.sessions import FAILURES, IDLE, LONGEST, WINDOW, Sessions

OPEN = "0.0.0.0"  # noqa: S104 - nothing listens there
TLS = Tls(Path("certificate"), Path("key"))


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(scope["state"]["person"]).encode()})


def ask(
    rules: Rules, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, str, dict[bytes, bytes]]:
    """Return status, body and headers of an answer behind ``rules``."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": "127.0.0.1:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(Guard(_app, rules)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], sent[1]["body"].decode(), dict(sent[0]["headers"])


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), (OPEN, False),
     ("::", False), ("192.168.1.5", False), ("station.local", False), ("", False)],
)  # fmt: skip
def test_an_address_is_this_device_alone_or_not(host: str, alone: bool) -> None:
    """Loopback addresses are known; any other address, and any name but localhost, is open to others."""
    assert is_loopback(host) is alone


def test_an_open_address_needs_tls_and_a_secret() -> None:
    """The refusal names what is missing; with both nothing is refused, and on loopback nothing is needed."""
    check_address("127.0.0.1", tls=None, secret=False, what="a password file")
    check_address(OPEN, tls=TLS, secret=True, what="a password file")
    with pytest.raises(SettingError, match=r"TLS .* and a password file is missing"):
        check_address(OPEN, tls=None, secret=False, what="a password file")
    with pytest.raises(SettingError, match="a password file is missing"):
        check_address(OPEN, tls=TLS, secret=False, what="a password file")


def test_a_token_is_one_long_line(tmp_path: Path) -> None:
    """A short token, or one of several lines, is refused and not shown; a right one fits itself alone."""
    path = tmp_path / "token"
    for text in ("short", "a" * 20 + "\n" + "b" * 20, "with space in it, and long"):
        path.write_text(text)
        with pytest.raises(SettingError) as caught:
            read_token(path)
        assert text not in str(caught.value)
    path.write_text("t" * 32 + "\n")
    token = read_token(path)
    assert has_token(f"Bearer {token}", token)
    assert has_token(f"bearer {token}".encode(), token)
    for wrong in (
        None,
        "",
        "Bearer",
        f"Basic {token}",
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        "Bearer é",
    ):
        assert not has_token(wrong, token)


def test_a_password_is_checked_against_its_hash(tmp_path: Path) -> None:
    """The file holds no password; the right one gives the person with the role, a wrong one nobody."""
    path = tmp_path / "passwords"
    path.write_text("# people\n\n" + password_line("花子", "see", "12345678é") + "\n")
    assert "12345678" not in path.read_text()
    people = Passwords(path)
    assert people.check("花子", "12345678é") == Person("花子", "see")
    assert people.check("花子", "12345678e") is None
    assert people.check("nobody", "12345678é") is None
    assert people.check("花子", "x" * 5000) is None


@pytest.mark.parametrize(
    "line",
    ["a:b", "hana:owner:scrypt:16384:8:5:AAAAAAAAAAAAAAAAAAAAAA==:AAAA", "hana:see:md5:1:1:1:AA==:AA==",
     "hana:see:scrypt:1073741824:8:5:AAAAAAAAAAAAAAAAAAAAAA==:" + "A" * 43 + "=", ""],
)  # fmt: skip
def test_a_damaged_password_file_is_refused(tmp_path: Path, line: str) -> None:
    """A line that is none, another hash, a cost beyond the device and an empty file end the start."""
    path = tmp_path / "passwords"
    path.write_text(line + "\n")
    with pytest.raises(SettingError):
        Passwords(path)


def test_sessions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session ends after a shift without a request, after a day in any case, and by logging out."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    sessions, person = Sessions(), Person("hana", "label")
    idle, long, left = (sessions.begin(person) for _ in range(3))
    sessions.end(left)
    assert sessions.person(left) is None
    for _ in range(int(LONGEST // IDLE) + 1):
        clock[0] += IDLE - 1
        seen = sessions.person(long)
        assert sessions.person(idle if clock[0] > 1000 + 2 * IDLE else "unknown") is None
        assert seen == person or clock[0] > 1000 + LONGEST
    assert sessions.person(long) is None


def test_guessing_is_slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many wrong passwords from one address the next waits; other addresses do not."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    sessions = Sessions()
    for _ in range(FAILURES):
        assert sessions.wait("10.0.0.1") == 0
        sessions.failed("10.0.0.1")
    assert 0 < sessions.wait("10.0.0.1") <= WINDOW
    assert sessions.wait("10.0.0.2") == 0
    clock[0] += WINDOW + 1
    assert sessions.wait("10.0.0.1") == 0


def test_on_this_device_nobody_needs_a_password() -> None:
    """Everybody may label there, and every answer has the headers that keep a browser to our own pages."""
    status, body, headers = ask(Rules("127.0.0.1"))
    assert (status, body) == (200, "Person(name='local', role='label')")
    assert all(headers[name] == value for name, value in HEADERS)
    assert headers[b"cache-control"] == b"no-store"


def test_a_name_that_points_here_is_no_way_in() -> None:
    """On loopback only this device's names, and those that were given, are answered: no DNS rebinding."""
    for host in ("127.0.0.1", "localhost:8080", "[::1]:8080"):
        assert ask(Rules("127.0.0.1"), host=host)[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::1].evil.example", "localhost.evil"):
        assert ask(Rules("127.0.0.1"), host=host)[0] == 403
    assert ask(Rules("127.0.0.1", names=frozenset({"viewer.plant"})), host="viewer.plant")[0] == 200


def test_another_site_changes_nothing() -> None:
    """A change that a page of another origin asks for is refused, whatever its session; its own page may."""
    rules = Rules("127.0.0.1")
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9090", "https://localhost:8080"):
        assert ask(rules, method="POST", origin=origin)[0] == 403
    assert ask(rules, method="POST", sec_fetch_site="cross-site")[0] == 403
    assert ask(rules, method="POST", origin="http://127.0.0.1:8080")[0] == 200
    assert ask(rules, method="POST")[0] == 200
    secure = Rules(OPEN, tls=True)
    assert ask(secure, method="POST", origin="http://127.0.0.1:8080")[0] == 403


def test_strangers_come_to_the_login() -> None:
    """Without a session a page sends to the login, data say 401, and what is public is answered."""
    rules = Rules(OPEN, tls=True, passwords=True, login="/login", public=("/login", "/static/"))
    status, _, headers = ask(rules, accept="text/html")
    assert (status, headers[b"location"]) == (303, b"/login")
    assert ask(rules)[0] == ask(rules, method="POST", accept="text/html")[0] == 401
    assert ask(rules, path="/login")[0] == ask(rules, path="/static/a.css")[0] == 200
    assert ask(rules, path="/loginx")[0] == ask(rules, path="/static")[0] == 401
    number = rules.sessions.begin(Person("hana", "see"))
    cookie = rules.set_cookie(number)
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert cookie.startswith("__Host-session=")
    status, body, _ = ask(rules, cookie=f"other=1; __Host-session={number}")
    assert (status, body) == (200, "Person(name='hana', role='see')")
    assert ask(rules, cookie=f"session={number}")[0] == 401


def test_programs_show_a_token() -> None:
    """With a token programs are answered, and nobody without it."""
    rules = Rules(OPEN, tls=True, token="t" * 32)
    assert ask(rules, authorization="Bearer " + "t" * 32)[0] == 200
    assert ask(rules, authorization="Bearer " + "s" * 32)[0] == 401
    assert ask(rules)[0] == 401


@given(st.dictionaries(st.sampled_from(["host", "origin", "cookie", "authorization"]), st.text(max_size=40)))
def test_no_header_breaks_the_guard(headers: dict[str, str]) -> None:
    """Whatever a header holds, the guard answers."""
    rules = Rules(OPEN, tls=True, passwords=True, token="t" * 32)
    plain = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
    assert ask(rules, method="POST", **plain)[0] in (401, 403)
