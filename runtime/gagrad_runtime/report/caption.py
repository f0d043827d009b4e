"""Caption: the words of the picture, for the person at the line, who has not read the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_runtime.language import shown, text
from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.report.covering_words import strength
from gagrad_runtime.report.evidence import evidence_lines, place_lines
from gagrad_runtime.report.lettering import printable
from gagrad_runtime.report.note_words import note_shown
from gagrad_runtime.report.received import received_note
from gagrad_runtime.report.task_words import words_of
from gagrad_runtime.report.verdicts import verdict
from gagrad_runtime.report.words import number, sentence, sentence_start

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.report.covering_words import Strength
    from gagrad_runtime.report.lettering import Lettering
    from gagrad_runtime.report.verdicts import Verdict
    from gagrad_runtime.report.words import Words


@dataclass(frozen=True)
class Caption:
    """The lines of text of the picture; each is wrapped to the picture's width."""

    title: str
    """The explained class."""
    answer: str
    """The explained class's probability with its margin, or what the model predicts instead."""
    verdict: Verdict | None
    """OK or NG; None where it is not known."""
    received: str | None
    """What the model got of the frame; None where a person sees the same in it."""
    strength: Strength | None
    """How strong the evidence is that a place is the reason; None where nothing was tested."""
    evidence: tuple[str, ...]
    """What speaks for the places: covering, agreement, repetition."""
    places: tuple[str, ...]
    """A sentence on each numbered place."""
    cautions: tuple[str, ...]
    """The cautions' sentences."""
    facts: tuple[str, ...]
    """How the map was made and how good it is, for the engineer."""


def write_caption(explanation: Explanation, pen: Lettering, *, notes: tuple[str, ...] = ()) -> Caption:
    """Return the caption in letters that ``pen`` can draw; ``notes`` are about the display."""
    words = words_of(explanation)
    made = explanation.provenance
    frame = explanation.frame
    file = text("frame from memory") if frame.source == "array" else printable(frame.name, pen)[0]
    bundle = printable(made.bundle, pen)[0]
    rcap = explanation.rcap
    facts = (
        *(_sentence(printable(note, pen)[0]) for note in notes),
        *(() if rcap is None else (_rcap(rcap.score, words),)),
        text(
            "{file} · {height} pixels high, {width} wide", file=file, height=frame.height, width=frame.width
        ),
        text(
            "bundle {bundle} · {made} · {engine}", bundle=bundle, made=_made(explanation), engine=made.backend
        ),
        *(_sentence(printable(note_shown(note), pen)[0]) for note in (*made.notes, *frame.notes)),
    )
    if not _all_readable(words, explanation, pen):
        facts += (text("A name has letters that this device cannot draw; the JSON record has it in full."),)
    cautions = tuple(printable(shown(caution.text), pen)[0] for caution in explanation.cautions)
    got = received_note(explanation)
    lines = evidence_lines(explanation, words.margin(pen))
    return Caption(
        title=words.title(pen),
        answer=words.answer(pen),
        verdict=verdict(explanation),
        received=None if got is None else _sentence(got),
        strength=strength(explanation),
        evidence=tuple(printable(line, pen)[0] for line in lines),
        places=place_lines(explanation),
        cautions=cautions,
        facts=tuple(printable(fact, pen)[0] for fact in facts),
    )


def _made(explanation: Explanation) -> str:
    """Return the method, the number of samples and the stability, as one line."""
    made = explanation.provenance
    parts = [made.method]
    if made.guide != "paper":
        parts = [text("{method}, guide {guide}", method=made.method, guide=made.guide)]
    if METHODS[made.method].samples_at == "noisy":
        noise = f"{made.noise_std * 100:.3g}"
        parts.append(
            text(
                "{count} samples, noise {noise} %, seed {seed}",
                count=made.samples,
                noise=noise,
                seed=made.seed,
            )
        )
    if made.perturbation:
        parts.append(made.perturbation)
    if explanation.stability is not None:
        parts.append(text("rank stability {stability} of 1", stability=f"{explanation.stability:.2f}"))
    return " · ".join(parts)


def _rcap(score: float, words: Words) -> str:
    return text("RCAP {score} of 1: {meaning}.", score=number(score), meaning=words.rcap())


def _all_readable(words: Words, explanation: Explanation, pen: Lettering) -> bool:
    names = (*words.names(), explanation.frame.name, explanation.provenance.bundle)
    return all(printable(name, pen)[1] for name in names)


def _sentence(words: str) -> str:
    return sentence_start(words) if words.endswith((".", "。")) else sentence(words)
