"""Caption: the words of the picture, for the person at the line, who has not read the paper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.question.probability import percent
from gagrad_runtime.report.lettering import printable

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.report.lettering import Lettering


@dataclass(frozen=True)
class Caption:
    """The lines of text of the picture; each is wrapped to the picture's width."""

    title: str
    """The explained class."""
    answer: str
    """The explained class's probability, and what the model predicts."""
    cautions: tuple[str, ...]
    """The cautions' sentences."""
    facts: tuple[str, ...]
    """How the map was made and how good it is, for the engineer."""


def write_caption(explanation: Explanation, pen: Lettering, *, notes: tuple[str, ...] = ()) -> Caption:
    """Return the caption in letters that ``pen`` can draw; ``notes`` are about the display."""
    target, predicted = explanation.target, explanation.predicted
    name, against = _label(target.name, target.index, pen), None
    if target.against_name is not None and target.against_index is not None:
        against = _label(target.against_name, target.against_index, pen)
    title = f"What the model looked at for {name}" + (f" and not {against}" if against else "")
    title += "" if target.region is None else " in the chosen region"
    answer = f"{_sentence_start(_measure(explanation, target.index))} for {_short(name)}"
    if against and target.against_index:
        answer += f", {_measure(explanation, target.against_index)} for {_short(against)}"
    answer += _predicted(explanation, predicted, pen)
    if explanation.probabilities is None and explanation.scores.size == 1:
        title = "What the model looked at for its score"
        answer = f"{_sentence_start(_measure(explanation, target.index))}."

    made = explanation.provenance
    frame = explanation.frame
    file = "frame from memory" if frame.source == "array" else printable(frame.name, pen)[0]
    bundle = printable(made.bundle, pen)[0]
    facts = (
        f"RCAP {_number(explanation.rcap.score)} of 1: the higher, the more the bright places alone decide.",
        f"{file} · {frame.height} pixels high, {frame.width} wide",
        f"bundle {bundle} · {_made(explanation)} · {made.backend}",
        *(_sentence(printable(note, pen)[0]) for note in (*frame.notes, *notes)),
    )
    if not _all_readable(explanation, pen):
        facts += ("A name has letters that this device cannot draw; the JSON record has it in full.",)
    cautions = tuple(printable(caution.text, pen)[0] for caution in explanation.cautions)
    return Caption(title, answer, cautions, tuple(printable(fact, pen)[0] for fact in facts))


def _made(explanation: Explanation) -> str:
    """Return the method, the number of samples and the stability, as one line."""
    made = explanation.provenance
    parts = [made.method + ("" if made.guide == "paper" else f", guide {made.guide}")]
    if METHODS[made.method].samples_at == "noisy":
        parts.append(f"{made.samples} samples, seed {made.seed}")
    if made.perturbation:
        parts.append(made.perturbation)
    if explanation.stability is not None:
        parts.append(f"stability {explanation.stability:.2f} of 1")
    return " · ".join(parts)


def _predicted(explanation: Explanation, predicted: Target, pen: Lettering) -> str:
    """Return the model's own answer as the end of the answer's line."""
    name = _label(predicted.name, predicted.index, pen)
    if predicted.index == explanation.target.index:
        alone = explanation.target.against_index is None
        return ": this is what the model predicts." if alone else f". The model predicts {_short(name)}."
    return f". The model itself predicts {_short(name)} ({_measure(explanation, predicted.index)})."


def _measure(explanation: Explanation, index: tuple[int, ...]) -> str:
    """Return the probability at ``index`` in words, or the score where there are no probabilities."""
    if explanation.probabilities is None:
        return f"score {_number(explanation.target.reading(explanation.scores, index))}"
    return percent(explanation.target.reading(explanation.probabilities, index))


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not a number"


def _label(name: str, index: tuple[int, ...], pen: Lettering) -> str:
    """Return the class name in quotes, or the class's number where the name cannot be drawn."""
    text, readable = printable(name, pen)
    number = ", ".join(map(str, index)) or "0"
    if not readable or not text:
        return f"class {number}"
    return f"class {text}" if text == number else f'"{text}"'


def _short(label: str) -> str:
    """Return ``label`` cut to a length that leaves room for the figures; the title has it in full."""
    return label if len(label) <= 42 else f"{label[:40]}..." + ('"' if label.endswith('"') else "")


def _all_readable(explanation: Explanation, pen: Lettering) -> bool:
    target = explanation.target
    names = (target.name, target.against_name or "", explanation.predicted.name, explanation.frame.name)
    return all(printable(name, pen)[1] for name in (*names, explanation.provenance.bundle))


def _sentence_start(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _sentence_start(text) + ("" if text.endswith(".") else ".")
