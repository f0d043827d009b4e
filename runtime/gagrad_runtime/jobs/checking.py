"""Check: labelled images are answered, and where answers differ the likely mistake is looked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge import json_text
from gagrad_edge.checking import Tried, check_share, in_order, read_checks, require_labels
from gagrad_edge.cli import say, say_json
from gagrad_edge.errors import FrameError, VerificationError
from gagrad_edge.manifest import Checked, Confusion
from gagrad_edge.summary import agreement
from gagrad_runtime.answer.label import label_of
from gagrad_runtime.backend import open_backend
from gagrad_runtime.frame import frame_for
from gagrad_runtime.jobs.feeding import Feeding
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.language import text
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.noise import noise_level
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.checking import Labelled
    from gagrad_runtime.frame.frame import Frame

MOST_TRIED = 48
"""Most images on which other ways to feed them are tried, spread over all."""
_ROUNDS = 3
"""Most things that are wrong at once."""
_LEAST = 2
"""Images that a change must mend, more than it spoils: a single one may be chance."""


def check_images(
    bundle: Path,
    checks: Sequence[str],
    at_least: float,
    *,
    device: str,
    threads: int | None,
    trust: Path | None = None,
    as_json: bool,
) -> None:
    """Compare the answers of ``bundle`` with labels, and print them.

    ``checks`` are texts ``PATTERN=LABEL``. Raises VerificationError below ``at_least``.
    """
    check_share(at_least)
    labelled = read_checks(checks)
    with (
        Progress() as progress,
        open_session(
            bundle, device, threads=threads, trust=trust, prove="never", progress=progress
        ) as session,
    ):
        checked = check(session.explainer, labelled, at_least=at_least, progress=progress)
    if as_json:
        report = {"bundle": session.bundle.manifest.name, "checked": checked, "passed": checked.passed}
        say_json(json_text.encode(report))
    for line in agreement(checked, text):
        say(line, err=True)
    require(checked, str(bundle))


def check_bundle(
    bundle: Bundle,
    labelled: Sequence[Labelled],
    *,
    at_least: float,
    progress: Callable[[int, int, str], None],
) -> Tried:
    """Return how ``bundle`` answers, and the noise that it bears, on the CPU: for the exporter that made it.

    A bundle from anywhere else goes through the device's trust policy: ``check_images``.
    """
    with Explainer(bundle, open_backend("cpu")) as explainer:
        checked = check(explainer, labelled, at_least=at_least, progress=progress)
        return Tried(checked, noise_level(explainer, [one.path for one in labelled], progress=progress))


def require(checked: Checked, where: str) -> None:
    """Raise VerificationError where fewer images are answered as labelled than ``checked`` asks for."""
    if checked.passed:
        return
    raise VerificationError(
        agreement(checked)[0],
        where=where,
        hint=f"try {checked.suspect}"
        if checked.suspect
        else "check labels and model; the lines above say more",
    )


def check(
    explainer: Explainer,
    labelled: Sequence[Labelled],
    *,
    at_least: float,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Checked:
    """Return how ``labelled`` images are answered, and what is likely wrong where some are not as labelled.

    Raises SettingError for a label that the model cannot give, and FrameError.
    """
    require_labels(labelled, explainer.manifest.output)
    labelled = in_order(labelled, explainer.manifest.output)
    run = _Run(explainer, progress)
    asked = Feeding(explainer.manifest.input)
    pairs: Counter[tuple[str, str]] = Counter()
    wrong: list[Labelled] = []
    for number, one in enumerate(labelled):
        progress(number, len(labelled), Path(one.path).name)
        answer = run.answer(run.frame(one), asked)
        pairs[one.label, answer] += 1
        if answer != one.label:
            wrong.append(one)
    suspect = run.suspect(labelled, pairs, asked) if wrong else ""
    return Checked(
        images=len(labelled),
        agree=len(labelled) - len(wrong),
        at_least=at_least,
        confusion=[
            Confusion(label=label, answer=answer, images=count)
            for (label, answer), count in sorted(pairs.items())
        ],
        suspect=suspect,
    )


@dataclass
class _Run:
    explainer: Explainer
    progress: Callable[[int, int, str], None]
    resized: bool = False
    """Whether a frame had another size than the model's image."""
    deep: bool = False
    """Whether a frame had 16 bits."""

    def frame(self, one: Labelled) -> Frame:
        spec = self.explainer.manifest.input
        frame = frame_for(spec, one.path)
        self.resized |= (frame.height, frame.width) != (spec.height, spec.width)
        self.deep |= frame.pixels.dtype == np.uint16 and frame.white is None
        return frame

    def answer(self, frame: Frame, feeding: Feeding) -> str:
        image, placement = feeding.image(frame)
        said = self.explainer.reader.prediction(self.explainer.outputs(image), placement)
        return label_of(said, self.explainer.manifest.output)

    def _answer_if_fed(self, frame: Frame, feeding: Feeding) -> str | None:
        """Return the answer; None where the frame cannot be fed so, e.g. for values beyond that bit depth."""
        try:
            return self.answer(frame, feeding)
        except FrameError:
            return None

    def suspect(self, labelled: Sequence[Labelled], pairs: Counter[tuple[str, str]], asked: Feeding) -> str:
        """Return what to change, in words; empty where no usual mistake explains the answers."""
        step = -(-len(labelled) // MOST_TRIED)
        some = list(labelled)[::step]
        errors = sum(count for (label, answer), count in pairs.items() if label != answer)
        best, left = asked, round(errors * len(some) / len(labelled))
        for _ in range(_ROUNDS):
            found = self._best(some, best, first=best is asked)
            if found is None or not _clearly(found[1], left):
                break
            best, left = found
        total = len(labelled)
        names = _renamed(pairs)
        if names is not None and names[1] / total < left / len(some) and _clearly(names[1], errors):
            return names[0]
        if not best.changed:
            return ""
        tried = f"{len(some) - left} of {len(some)}" + (" that were tried" if step > 1 else "")
        return f"{' and '.join(said for _, said in best.changed)} ({tried} would agree)"

    def _best(self, some: Sequence[Labelled], base: Feeding, *, first: bool) -> tuple[Feeding, int] | None:
        """Return the change of ``base`` with the fewest wrong answers on ``some``, and their number."""
        variants = list(base.variants(resized=self.resized, deep=self.deep))
        wrong: dict[int, int] = dict.fromkeys(range(len(variants)), 0)
        for number, one in enumerate(some):
            self.progress(number, len(some), "looking for the mistake" if first else "looking for another")
            frame = self.frame(one)
            for index in list(wrong):
                answer = self._answer_if_fed(frame, variants[index])
                if answer is None:
                    del wrong[index]
                else:
                    wrong[index] += answer != one.label
        if not wrong:
            return None
        best = min(wrong, key=lambda index: wrong[index])
        return variants[best], wrong[best]


def _clearly(after: int, before: int) -> bool:
    """Whether ``after`` wrong answers are so much fewer than ``before`` that it is hardly chance."""
    return after * 2 <= before and before - after >= _LEAST


def _renamed(pairs: Counter[tuple[str, str]]) -> tuple[str, int] | None:
    """Return the order of names that fits better, in words, and how many images it leaves wrong."""
    labels = sorted({label for label, _ in pairs})
    usual = {label: max((n, a) for (b, a), n in pairs.items() if b == label)[1] for label in labels}
    if len(labels) < 2 or len(set(usual.values())) < len(labels) or all(a == b for a, b in usual.items()):
        return None
    left = sum(count for (label, answer), count in pairs.items() if usual[label] != answer)
    moved = ", ".join(f"{label} is answered {answer}" for label, answer in usual.items() if label != answer)
    return f"another order of the names in `classes`: {moved}", left
