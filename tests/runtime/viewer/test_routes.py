"""Every route: who may, what it answers to nonsense, and that nothing a stranger sends breaks it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar

from gagrad_runtime.viewer.app import PUBLIC, application
from gagrad_runtime.viewer.viewer import Viewer
from gagrad_runtime.web.guard import POLICY, Rules
from gagrad_runtime.web.passwords import Passwords, password_line
from tests.runtime.viewer.sending import asked, explained, got, pictured, sent, verdict, viewing


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a viewer with two frames whose names are attacks."""
    with viewing(tmp_path_factory.mktemp("routes")) as found:
        name = '"><script>alert(1)</script>.png'
        sent(
            found, verdict(1, file=name), explained(2, 1, file=name, **pictured()), verdict(3, verdict="<b>")
        )
        yield found


def routes(viewer: Viewer) -> list[tuple[str, str]]:
    """Return method and path of every route."""
    app: Litestar = application(viewer)._app
    found = [
        (method, route.path)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method in ("GET", "POST")
    ]
    assert ("POST", "/events") in found
    return found


text = st.text(max_size=30) | st.sampled_from(
    ["1", "0", "-1", "9" * 30, "nan", "1e999", "../../etc/passwd", "%00", "\x00"]
)


QUERIES = "lowest since until text caution before station state lang at by outcome from group"
"""Names in addresses that pages and data know."""


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_breaks_a_route(viewer: Viewer, data: st.DataObject) -> None:
    """Whatever stands in path, query or body, no answer is a defect, and each has the policy."""
    method, path = data.draw(st.sampled_from(routes(viewer)))
    for part in ("{number:int}", "{kind:str}", "{form:str}"):
        path = path.replace(part, quote(data.draw(text), safe="") or "x")
    names = st.sampled_from(QUERIES.split())
    query = data.draw(st.dictionaries(names, text, max_size=4))
    body = data.draw(
        st.binary(max_size=200) | st.just(b'{"event":"verdict"}') | st.just(b"name=a&password=b")
    )
    kind = data.draw(
        st.sampled_from(["text/html", "application/json", "multipart/form-data; boundary=x", "\xff/*"])
    )

    async def work(client: httpx.AsyncClient) -> None:
        headers = {"accept": "text/html", "content-type": kind.encode("latin-1")}
        request = client.build_request(
            method, path, params=query, content=body if method == "POST" else None, headers=headers
        )  # type: ignore[arg-type]
        if path.endswith("stream"):
            return
        answer = await client.send(request)
        assert answer.status_code < 500 or answer.status_code in (503, 507), (
            method,
            path,
            query,
            answer.text,
        )
        assert answer.headers["content-security-policy"] == POLICY

    asked(viewer, work)


@pytest.mark.parametrize("path", ["/export/history.csv", "/export/history.parquet"])
@pytest.mark.parametrize(
    "asked_for", ["since=33204140000000000000000", f"until={1 << 63}", f"since=-{9**30}"]
)
def test_a_time_that_no_database_holds_is_the_askers_fault(viewer: Viewer, path: str, asked_for: str) -> None:
    """The test above found it, once in many runs: a time beyond 64 bits was a defect of ours."""
    answer = got(viewer, f"{path}?{asked_for}")
    assert answer.status_code == 400, answer.text


def test_a_defect_tells_nothing_of_itself(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of ours is a line in the log, and to the client a 500 without a traceback."""
    monkeypatch.setattr(type(viewer.queries), "disk", property(lambda _: 1 / 0))
    answer = got(viewer, "/health")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_a_login_begins_a_session_and_a_logout_ends_it(tmp_path: Path) -> None:
    """With the right password everything is answered, without it nothing; a session ends at the logout."""
    path = tmp_path / "passwords"
    path.write_text(password_line("hana", "see", "12345678") + "\n")
    rules = Rules("0.0.0.0", tls=True, passwords=True, public=PUBLIC, login="/login")  # noqa: S104
    with viewing(tmp_path / "data", rules, passwords=Passwords(path)) as viewer:

        async def work(client: httpx.AsyncClient) -> None:
            assert (await client.get("/export/history.csv")).status_code == 401
            page = await client.get("/", headers={"accept": "text/html"})
            assert (page.status_code, page.headers["location"]) == (303, "/login")
            assert (await client.get("/login")).status_code == 200
            wrong = await client.post("/login", data={"name": "hana", "password": "wrong"})
            assert (wrong.status_code, wrong.headers["location"]) == (303, "/login?trouble=wrong")
            right = await client.post("/login", data={"name": "hana", "password": "12345678"})
            assert (right.status_code, right.headers["location"]) == (303, "/")
            cookie = right.headers["set-cookie"].partition(";")[0]
            assert "12345678" not in cookie
            headers = {"cookie": cookie}
            assert (await client.get("/export/history.csv", headers=headers)).status_code == 200
            assert (await client.post("/logout", headers=headers)).status_code == 303
            assert (await client.get("/export/history.csv", headers=headers)).status_code == 401
            event = await client.post("/events", json=verdict(1))
            assert event.status_code == 204

        asked(viewer, work)


def test_parquet_needs_its_package_and_has_the_rows_of_the_csv(viewer: Viewer) -> None:
    """Without pyarrow the answer says so; with it the columns are those of the CSV."""
    answer = got(viewer, "/export/history.parquet")
    try:
        from pyarrow import parquet  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        assert answer.status_code == 404
        assert "pyarrow" in answer.text
        return
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == 2
    assert table.column("name").to_pylist()[1].startswith('"><script>')
