"""Conditions that make a part NG: ``scratch``, ``dent >= 0.6``, ``count(scratch) >= 2``, ``value < 9.8``.

A condition is read once, checked against what the model can say, and asked of each prediction.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from gagrad_edge.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_edge.output import OutputSpec, Task
    from gagrad_runtime.answer.prediction import Prediction

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORMS: dict[Task, tuple[str, ...]] = {
    "classification": ("class", "probability"),
    "multilabel": ("class", "probability"),
    "detection": ("class", "probability", "count"),
    "segmentation": ("class", "area"),
    "anomaly": ("score", "area"),
    "regression": ("value",),
    "sequence": ("text",),
}
"""What can be asked of a model of each task."""
_EXAMPLES = {
    "class": "{name}",
    "probability": "{name} >= 0.6",
    "count": "count({name}) >= 2",
    "area": "area({name}) > 0.5 %",
    "score": "score >= 0.5",
    "value": "value < 9.8",
    "text": "text !~ '[A-Z]{{3}}[0-9]{{6}}'",
}
_SHARES = {"probability": "a probability", "area": "an area"}
_NUMBER = r"(?P<number>[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)"
_OPERATOR = r"(?P<operator>>=|<=|>|<)"
_NAME = r"""(?:"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<name>[^"'()<>=~!]*?))"""
_SYNTAX = (
    ("text", re.compile(r"text\s*(?P<operator>==|!=|!~|~)\s*(?P<quote>['\"])(?P<pattern>.*)(?P=quote)")),
    ("amount", re.compile(rf"(?P<what>score|value)\s*{_OPERATOR}\s*{_NUMBER}")),
    ("count", re.compile(rf"count\(\s*{_NAME}\s*\)\s*{_OPERATOR}\s*{_NUMBER}")),
    ("area", re.compile(rf"area\(\s*{_NAME}\s*\)\s*{_OPERATOR}\s*{_NUMBER}\s*(?P<percent>%)?")),
    ("probability", re.compile(rf"{_NAME}\s*{_OPERATOR}\s*{_NUMBER}\s*(?P<percent>%)?")),
    ("class", re.compile(_NAME)),
)


class Judgement(NamedTuple):
    """Whether a part is NG, and by which condition."""

    ng: bool
    condition: Condition | None
    """The first condition that holds; None for a good part."""


@dataclass(frozen=True)
class Condition:
    """One condition on what the model says."""

    text: str
    """As it was given: what events and rows say as the reason."""
    kind: str
    """``class``, ``probability``, ``count``, ``area``, ``score``, ``value`` or ``text``."""
    name: str = ""
    """Class, or one of several values; empty for any class besides the background, and for the only value."""
    operator: str = ""
    limit: float = 0.0
    pattern: str = ""

    def holds(self, said: Prediction) -> bool:
        """Return whether ``said`` makes the part NG."""
        if self.kind == "text":
            return _text_holds(self.operator, self.pattern, said.text or "")
        if self.kind == "class":
            return self.name in said.present
        if self.kind == "probability":
            return any(self._compares(chance) for chance in said.chances(self.name))
        if self.kind == "count":
            return self._compares(len(said.chances(self.name)))
        if self.kind == "area":
            return self._compares(said.area(self.name))
        value = said.score if not self.name else said.value(self.name)
        return value is not None and self._compares(value)

    @property
    def question(self) -> dict[str, str]:
        """What to explain of a part that the condition makes NG, as keywords of ``explain``."""
        return {"target": self.name} if self.name and self.kind != "text" else {}

    def _compares(self, value: float) -> bool:
        return _COMPARE[self.operator](value, self.limit)


def judge(conditions: Sequence[Condition], said: Prediction) -> Judgement:
    """Return whether ``said`` fulfils one of ``conditions``."""
    for condition in conditions:
        if condition.holds(said):
            return Judgement(ng=True, condition=condition)
    return Judgement(ng=False, condition=None)


def read_condition(text: str, spec: OutputSpec, *, where: str) -> Condition:
    """Return the condition in ``text``. Raises SettingError, with what can be asked of this model."""
    for kind, pattern in _SYNTAX:
        match = pattern.fullmatch(text.strip())
        if match is not None:
            return _checked(_condition(text.strip(), kind, match.groupdict()), spec, where)
    raise SettingError(f"{text!r} is no condition", where=where, **_what_can_be_asked(spec))


def _condition(text: str, kind: str, found: dict[str, str | None]) -> Condition:
    if kind == "text":
        return Condition(text, kind, operator=found["operator"] or "", pattern=found["pattern"] or "")
    if kind == "amount":
        kind = found["what"] or ""
    name = next((found[key] for key in ("quoted", "single", "name") if found.get(key) is not None), None)
    limit = float(found.get("number") or 0) / (100 if found.get("percent") else 1)
    return Condition(text, kind, (name or "").strip(), found.get("operator") or "", limit)


def _checked(condition: Condition, spec: OutputSpec, where: str) -> Condition:
    if spec.task == "regression" and condition.kind == "probability":
        condition = replace(condition, kind="value")  # it is written alike: NAME < 9.8
    if condition.kind not in _FORMS[spec.task] or (
        condition.kind == "value" and (len(spec.shape) > 1 or bool(condition.name) is (spec.shape == [1]))
    ):
        raise SettingError(
            f"{condition.text!r} cannot be asked of a model whose task is {spec.task}",
            where=where,
            **_what_can_be_asked(spec),
        )
    if condition.kind == "text" and condition.operator in ("~", "!~"):
        try:
            re.compile(condition.pattern)
        except re.error as error:
            raise SettingError(
                f"the pattern {condition.pattern!r} is no regular expression ({error})", where=where
            ) from None
    known = spec.classes or [str(index) for index in range(spec.shape[0])]
    named = condition.kind in ("class", "probability") or condition.name
    if named and spec.task != "anomaly" and condition.name not in known:
        raise SettingError(f"there is no class {condition.name!r}", where=where, choices=known)
    if condition.kind in ("probability", "area") and not 0 <= condition.limit <= 1:
        raise SettingError(
            f"{condition.text!r} never changes: {_SHARES[condition.kind]} is from 0 to 1, or 0 % to 100 %",
            where=where,
            **_what_can_be_asked(spec),
        )
    return condition


def _what_can_be_asked(spec: OutputSpec) -> dict[str, str]:
    if spec.task == "regression" and len(spec.shape) > 1:
        return {"hint": "the model gives a map of values, of which no condition can be asked"}
    known = spec.classes or [str(index) for index in range(spec.shape[0])]
    name = next((one for one in known if one not in ("ok", "good", "background")), known[0])
    shown = name if re.fullmatch(r"[\w .-]+", name) else f'"{name}"'
    examples = [
        _EXAMPLES[form].format(name="" if spec.task == "anomaly" else shown) for form in _FORMS[spec.task]
    ]
    if spec.task == "regression" and spec.shape != [1]:
        examples = [f"{shown} < 9.8"]
    return {"hint": "write it as in: " + "; ".join(examples)}


def _text_holds(how: str, pattern: str, text: str) -> bool:
    if how in ("==", "!="):
        return (text == pattern) is (how == "==")
    return (re.fullmatch(pattern, text) is not None) is (how == "~")
