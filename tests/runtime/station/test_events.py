"""The station's events, a public contract: one struct each, one schema, each emitted through its struct."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from gagrad_edge.cli import run
from gagrad_edge.errors import ModelError
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.station.events import (
    DroppedEvent,
    Event,
    EventKind,
    ExplainedEvent,
    FailedEvent,
    HealthEvent,
    IndexEvent,
    QuarantinedEvent,
    SourceEvent,
    StationEvent,
    VerdictEvent,
    decode,
    encode,
    json_schema,
)
from tests.runtime.report.test_record import in_order
from tests.runtime.station.images import put

DOCS = Path(__file__).parents[3] / "docs"
STRUCTS: dict[str, type[Event]] = {
    "verdict": VerdictEvent,
    "explained": ExplainedEvent,
    "dropped": DroppedEvent,
    "failed": FailedEvent,
    "quarantined": QuarantinedEvent,
    "source": SourceEvent,
    "index": IndexEvent,
    "health": HealthEvent,
}
EARLIER = {
    "verdict": {"event", "time", "file", "verdict", "probability", "explain", "seconds", "id"},
    "explained": {"event", "time", "file", "record", "picture", "rcap", "samples", "seconds", "id"},
    "dropped": {"event", "time", "reason", "id"},
    "failed": {"event", "time", "reason", "id"},
    "quarantined": {"event", "time", "file", "reason", "id"},
    "source": {"event", "time", "state", "source", "reason"},
    "index": {"event", "time", "state", "reason"},
}
"""Fields of each event before there were structs: receivers' programs rely on them."""


def test_the_published_schema_is_the_programs() -> None:
    """The docs cannot drift; ``UPDATE_SCHEMAS=1 pytest`` of this file writes the schema again."""
    text = json.dumps(in_order(json_schema()), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SCHEMAS"):
        (DOCS / "event.schema.json").write_text(text, encoding="utf-8")
    assert (DOCS / "event.schema.json").read_text(encoding="utf-8") == text


def test_every_field_is_told_in_words() -> None:
    """docs/watch.md names each field of each event; a prediction's fields are told in docs/cli.md."""
    text = (DOCS / "watch.md").read_text(encoding="utf-8")
    for kind in json_schema()["$defs"].values():
        for field in kind["properties"] if "event" in kind["properties"] else ():
            assert f"`{field}`" in text, field


def test_each_kind_has_its_struct() -> None:
    """The kinds that a configuration may name are those of the structs, and no other."""
    assert set(get_args(EventKind)) == set(STRUCTS)
    assert set(get_args(StationEvent)) == set(STRUCTS.values())
    assert {struct.__struct_config__.tag for struct in STRUCTS.values()} == set(STRUCTS)


@pytest.fixture
def emitted(station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return the events of a small station to which everything happens that a station has an event for."""
    for number in range(3):
        put(tmp_path / "in", f"{number}.png", number)
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG and no more")
    put(tmp_path / "in", "nan.png", 7)
    one = station(queue=2)
    change = SourceEvent(time="2026-01-01T00:00:00Z", state="lost", source="rtsp://camera/", reason="away")
    changes = [change]
    monkeypatch.setattr(one.source, "events", lambda: [changes.pop()] if changes else [])
    real = one.explainer.judge

    def judge(frame: Any) -> Any:
        if frame.name == "nan.png":
            raise ModelError("the model's scores are not finite numbers")
        return real(frame)

    monkeypatch.setattr(one.explainer, "judge", judge)
    (tmp_path / "out" / "index.sqlite").unlink()
    one.run(once=True)
    events: list[Event] = station.events
    return events


def test_each_event_is_emitted_through_its_struct(emitted: list[Event]) -> None:
    """A running station emits all, each an instance of its struct; JSON and back changes none.

    But for ``health``, which a station without receivers tells nobody: see ``test_health``.
    """
    assert {event.kind for event in emitted} == set(STRUCTS) - {"health"}
    for event in emitted:
        assert type(event) is STRUCTS[event.kind]
        assert decode(encode(event)) == event


def test_the_fields_that_receivers_know_are_there(emitted: list[Event]) -> None:
    """Names and values of the fields from before stay; a frame's event names the frame and its row."""
    for event in emitted:
        fields = json.loads(encode(event))
        assert set(fields) >= EARLIER[event.kind]
        assert fields["event"] == event.kind
        assert len(fields["time"]) == len("2026-01-01T00:00:00Z")
        if event.kind not in ("source", "index"):
            assert isinstance(fields["id"], int)
            assert fields["file"].endswith(".png")


def test_a_score_that_is_no_number_is_null(
    station: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN does not exist in JSON, and a receiver must be able to read every event."""
    put(tmp_path / "in", "a.png")
    one = station()
    real = one.explainer.refine

    def refine(*arguments: Any, **settings: Any) -> Any:
        for explanation in real(*arguments, **settings):
            yield _without_score(explanation)

    monkeypatch.setattr(one.explainer, "refine", refine)
    one.run(once=True)
    assert json.loads(encode(station.events[-1]))["rcap"] is None


def _without_score(explanation: Explanation) -> Explanation:
    from dataclasses import replace

    if explanation.rcap is None:  # measured at the end only
        return explanation
    return replace(explanation, rcap=replace(explanation.rcap, score=float("nan")))


@pytest.mark.slow
def test_each_line_of_json_is_an_event(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``watch --json`` prints events and nothing else on stdout."""
    put(tmp_path / "in", "a.png")
    command = [
        "watch",
        str(tiny_bundle),
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--once",
        "--json",
    ]
    assert run(command) == 0
    events = [decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [type(event) for event in events] == [VerdictEvent, ExplainedEvent]
