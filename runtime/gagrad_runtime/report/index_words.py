"""Words of the page of many explanations, in the current language; the values behind them stay codes."""

from __future__ import annotations

from gagrad_runtime.language import current, marked, text
from gagrad_runtime.report.html_page import escape, font

NOT_EXPLAINED, NO_CAUTION = marked("not explained"), marked("no caution")
"""What one can filter by in place of a caution's code."""
_EVIDENCE = {"strong": marked("strong"), "weak": marked("weak"), "none": marked("none")}
_OUTCOMES = {"PASS": marked("PASS"), "FAIL": marked("FAIL")}
CAUTIONS = (
    marked("answer-unusual"),
    marked("constant-image"),
    marked("constant-map"),
    marked("copies-lose-answer"),
    marked("covering-finds-nothing"),
    marked("dark-image"),
    marked("dead-gradient"),
    marked("few-bits"),
    marked("frame-unusual"),
    marked("late"),
    marked("no-evidence"),
    marked("not-detected"),
    marked("not-settled"),
    marked("peaks-disagree"),
    marked("place-unstable"),
    marked("saturated-score"),
    marked("uncalibrated"),
    marked("unstable"),
    marked("unsure"),
    marked("upscaled"),
)
"""Codes of all cautions; English shows the code itself, another language a short name."""


def caution_name(code: str) -> str:
    """Return the short name of the caution ``code``."""
    return text(code)


def evidence_name(strength: str) -> str:
    """Return the strength of an evidence for people."""
    return text(_EVIDENCE.get(strength, strength))


def outcome_name(outcome: str) -> str:
    """Return PASS or FAIL for people."""
    return text(_OUTCOMES.get(outcome, outcome))


def page_words(number: int) -> dict[str, str]:
    """Return the texts of the page's template by their names there, about ``number`` explanations."""
    counted = text("{shown} of {number}", shown=f'<b id="shown">{number}</b>', number=number)
    words = {
        "w_file": text("File name"),
        "w_verdict": text("Verdict"),
        "w_any": text("any"),
        "w_target": text("Explained"),
        "w_evidence": text("Evidence"),
        "w_caution": text("Caution"),
        "w_order": text("Order"),
        "w_by_number": text("as explained"),
        "w_by_file": text("file name"),
        "w_by_target": text("explained class"),
        "w_by_verdict": text("verdict"),
        "w_surest": text("surest first"),
        "w_unsurest": text("least sure first"),
        "w_most_cautions": text("most cautions first"),
        "w_all": text("Show all"),
        "w_least": text("not at all"),
        "w_most": text("most"),
    }
    return {
        "language": current(),
        "font": font(),
        "counted": counted,
        **{name: escape(word) for name, word in words.items()},
    }
