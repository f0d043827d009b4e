"""``findings.json``: the clusters of an audit with their proof, and what a person says of each.

People edit the file by hand, so whatever is wrong in it is named with its line, or with cluster and field.
docs/findings.schema.json is made from the structures here.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
from msgspec.structs import replace

from gagrad_edge import schema
from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import InputError, SettingError
from gagrad_edge.input import InputSpec  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.schema import Strict
from gagrad_runtime.audit.clustering import Rectangle  # noqa: TC001 - as above
from gagrad_runtime.audit.intervention import Rate  # noqa: TC001 - as above
from gagrad_runtime.audit.table import GRID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FINDINGS = "findings.json"
Decision = Literal["keep", "ask", "bad"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
_MOST = 64 << 20
"""Bytes of the largest file that is read."""


class Image(Strict, frozen=True, kw_only=True):
    """An image that the model was asked about; it can be asked again."""

    path: str
    sha256: Sha256
    """Of its pixels."""


class Cluster(Strict, frozen=True, kw_only=True):
    """Explanations that look at one place, and what the model says without it."""

    number: int
    """By size, from 0; no number comes twice."""
    decision: Decision = "ask"
    """What a person says of it: ``bad`` if the place must not decide, ``keep`` if it may, else ``ask``."""
    who: str = ""
    """Who said so."""
    when: datetime | None = None
    """When, in UTC."""
    note: str = ""
    """Why."""
    images: int
    where: str
    """In words."""
    verdict: str
    """The commonest answer."""
    verdicts: dict[str, int]
    stations: dict[str, int]
    first: str
    """Day of the first image, and of the last; empty where no time is known."""
    last: str
    place: list[Rectangle]
    """In cells of 16 by 16 over what the model sees of the frame: first row and column, one past the last."""
    covered: Rate
    """Members of the commonest answer that get another one with the place covered."""
    covered_elsewhere: Rate
    """The same with as much covered where the maps are lowest."""
    becomes: str
    """The answer that most of them get."""
    pasted: Rate
    """Parts of other answers that get the cluster's with its place pasted onto them."""
    pasted_elsewhere: Rate
    """The same with what members have elsewhere."""
    proven: bool
    """Whether the place decides: answers change without it, or other parts get the answer with it. A border
    that the model sees on four sides needs no single one of them, and any of them will do."""
    share: Rate
    """Images of the commonest answer in this cluster, of all explained images with that answer."""
    area: float
    """Share of the place in all that the explained images of that answer look at, 0..1: so many of them would
    look there if defects lay anywhere that they are seen."""
    finding: bool
    """Whether more images look there than if defects lay anywhere, and the place decides: a defect that
    lies anywhere decides wherever it lies, and is no finding."""
    rows: list[int]
    """Images nearest to the mean map."""
    mean: list[list[float]]
    """Mean of the maps, ``[16][16]``, shares of the whole."""
    members: list[Image]
    """Members of the commonest answer that were asked about."""

    @property
    def strength(self) -> float:
        """By how much more often the place changes the answer than as much elsewhere, at least."""
        pairs = ((self.covered, self.covered_elsewhere), (self.pasted, self.pasted_elsewhere))
        return max(one.interval[0] - (other.share if other.of else 0.0) for one, other in pairs)

    def __post_init__(self) -> None:
        if len(self.mean) != GRID or any(len(row) != GRID for row in self.mean):
            raise ValueError(f"mean must have {GRID} rows of {GRID} numbers")
        if any(one.top >= one.bottom or one.left >= one.right for one in self.place):
            raise ValueError("a rectangle of place is empty: first row and column come first")


class Findings(Strict, frozen=True, kw_only=True):
    """``findings.json``."""

    schema: Literal[1] = 1
    bundle: Sha256
    """The bundle that was asked."""
    input: InputSpec
    """How it sees a frame, as in its manifest: what the cells of ``place`` divide."""
    explained: int
    unlike: int
    """Explanations in no cluster."""
    clusters: list[Cluster]
    """Findings first, then proven ones, the strongest in front."""
    others: dict[str, list[Image]]
    """For each commonest answer of a cluster, parts of other answers that places were pasted onto."""

    def __post_init__(self) -> None:
        numbers = [one.number for one in self.clusters]
        twice = sorted({one for one in numbers if numbers.count(one) > 1})
        if twice:
            raise ValueError(f"there are two clusters of number {twice[0]}")

    def called(self, decision: Decision) -> list[Cluster]:
        """Return the clusters of which a person says ``decision``."""
        return [one for one in self.clusters if one.decision == decision]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``findings.json``."""
    return schema.json_schema(Findings)


def read_findings(path: Path) -> Findings:
    """Return the findings in the file ``path``. Raises InputError, which names the line or the field."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST + 1)
    except OSError as error:
        raise InputError(
            f"the findings cannot be read ({error.strerror or error})",
            where=str(path),
            hint="gagrad-edge clusters AUDIT finds them, and writes the file into the audit's folder",
        ) from error
    if len(data) > _MOST:
        raise InputError(
            f"the file has more than {_MOST >> 20} MiB",
            where=str(path),
            hint="give the findings.json that gagrad-edge clusters AUDIT wrote",
        )
    data = data.removeprefix(BOM_UTF8)  # which some editors write
    try:
        return _decoded(data, str(path))
    except _TwiceError as error:
        raise InputError(
            f"{error.args[0]!r} is there twice in one object",
            where=str(path),
            hint="leave one of the two: which of them counts is nothing to guess",
        ) from error
    except RecursionError as error:
        raise InputError(
            "the brackets of the file are too deep", where=str(path), hint="close the brackets that are open"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{_line(data, error)}: this is no JSON ({error})",
            where=str(path),
            hint="mend that line, and save the file as UTF-8",
        ) from error


def _decoded(data: bytes, file: str) -> Findings:
    try:
        found = msgspec.json.decode(data, type=Findings)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), data, file) from error
    json.loads(data, object_pairs_hook=_no_key_twice)
    return found


class _TwiceError(Exception):
    """A key comes twice."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return found


def _line(data: bytes, error: Exception) -> str:
    """Return the line and the column that ``error`` names as a byte."""
    found = re.search(r"byte (\d+)", str(error))
    before = data if found is None else data[: int(found[1])]
    return f"line {before.count(10) + 1}, column {len(before) - before.rfind(10)}"


def _wrong(message: str, data: bytes, file: str) -> InputError:
    """Return the error for a value that ``message`` of msgspec is about."""
    from gagrad_runtime.audit.wrong_field import wrong_field  # noqa: PLC0415 - for a wrong file alone

    told = msgspec.json.decode(data)
    found = wrong_field(message, told, Findings)
    named = _named(found.path, told)
    what = f"{named}: {found.what}" if named else found.what
    return InputError(what, where=file, hint=found.hint, choices=found.choices)


def _named(path: Sequence[str | int], told: Any) -> str:
    """Return the place of a field in words: ``cluster 3, members, entry 2, sha256``."""
    words = [f"entry {part + 1}" if isinstance(part, int) else part for part in path]
    if len(path) > 1 and path[0] == "clusters":
        cluster = told["clusters"][path[1]]
        number = cluster.get("number") if isinstance(cluster, dict) else None
        numbered = isinstance(number, int) and path[2:] != ("number",)
        words[:2] = [f"cluster {number}" if numbered else f"clusters, {words[1]}"]
    return ", ".join(words)


def write_findings(path: Path, findings: Findings) -> None:
    """Write ``findings`` to the file ``path``, in a form that people can edit. Raises OutputError."""
    write_atomic(path, [_text(msgspec.to_builtins(findings)).encode(), b"\n"])


def _text(value: Any, indent: str = "") -> str:
    """Return ``value`` as JSON: what holds no lists and objects stands on one line."""
    if isinstance(value, (dict, list)) and any(
        isinstance(one, (dict, list)) for one in (value.values() if isinstance(value, dict) else value)
    ):
        deeper = f"{indent}  "
        if isinstance(value, dict):
            lines = [f"{json.dumps(key)}: {_text(one, deeper)}" for key, one in value.items()]
        else:
            lines = [_text(one, deeper) for one in value]
        brackets = "{}" if isinstance(value, dict) else "[]"
        return f"{brackets[0]}\n{deeper}" + f",\n{deeper}".join(lines) + f"\n{indent}{brackets[1]}"
    return json.dumps(value, ensure_ascii=False)


def decisions_of(given: Sequence[str]) -> dict[int, Decision]:
    """Return decisions by the number of the cluster from texts such as ``3=bad``. Raises SettingError."""
    found: dict[int, Decision] = {}
    for text in given:
        number, _, word = text.partition("=")
        decision = next((one for one in DECISIONS if one == word.strip()), None)
        if decision is None or not re.fullmatch(r"\s*\d{1,6}\s*", number):
            raise SettingError(
                f"{text!r} is no decision",
                where="decide",
                hint="give the number of a cluster and a word, such as 3=bad",
                choices=DECISIONS,
            )
        if found.setdefault(int(number), decision) != decision:
            raise SettingError(f"cluster {int(number)} has two decisions", where="decide")
    return found


def decided(
    findings: Findings,
    decisions: Mapping[int, Decision],
    who: str,
    note: str = "",
    *,
    when: datetime | None = None,
) -> Findings:
    """Return ``findings`` with ``decisions`` by the number of the cluster. Raises SettingError.

    Where no ``note`` is given, a decision that stays keeps its own.
    """
    numbers = [one.number for one in findings.clusters]
    unknown = [one for one in decisions if one not in numbers]
    if unknown:
        raise SettingError(
            f"there is no cluster {unknown[0]}", where="decide", choices=[str(one) for one in sorted(numbers)]
        )
    said = {
        "who": who,
        "when": (when or datetime.now(timezone.utc)).astimezone(timezone.utc).replace(microsecond=0),
    }
    clusters = []
    for one in findings.clusters:
        decision = decisions.get(one.number)
        if decision is not None:
            kept = one.note if decision == one.decision else ""
            one = replace(one, decision=decision, note=note or kept, **said)  # noqa: PLW2901
        clusters.append(one)
    return replace(findings, clusters=clusters)


def carried_over(findings: Findings, earlier: Findings) -> tuple[Findings, int]:
    """Return ``findings`` with the decisions of ``earlier`` on the same places, and how many have none now.

    A place is the same if its cells and its answer are.
    """
    said = {
        (one.verdict, tuple(one.place)): one
        for one in earlier.clusters
        if (one.decision, one.who, one.note) != ("ask", "", "")
    }
    clusters = []
    for one in findings.clusters:
        before = said.pop((one.verdict, tuple(one.place)), None)
        if before is None:
            clusters.append(one)
        else:
            fields = {name: getattr(before, name) for name in ("decision", "who", "when", "note")}
            clusters.append(replace(one, **fields))
    return replace(findings, clusters=clusters), len(said)
