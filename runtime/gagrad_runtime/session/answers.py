"""The answers of every graph: each is asked what the exporter asked it, and must give the same.

Beside that, the graphs must agree with each other: ``accumulate`` without noise and ``cam`` give the scores
that ``predict`` gives of the same frame. That holds for a bundle without stored answers too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.abi import SCORES, Sizes
from gagrad_edge.manifest import REQUIRED_ROLES
from gagrad_edge.selftest import decode_answers, difference, fingerprint, questions
from gagrad_runtime.backend.graphs import Graphs
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.session.finding import Finding
from gagrad_runtime.session.selftest import reference_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphRole, Numbers
    from gagrad_edge.selftest import Answer
    from gagrad_runtime.backend import Runner
    from gagrad_runtime.session.explainer import Explainer

    Array = NDArray[np.float32]
    Place = tuple[GraphRole, str, int, str]
    """Role, variant, frame and output."""

ANSWER: dict[Numbers, float] = {"float32": 0.02, "float16": 0.1, "bfloat16": 0.1}
"""Largest difference of an answer, relative to it: rounding; another model is off by about 1."""
GRADIENT: dict[Numbers, float] = {"float32": 0.1, "float16": 0.3, "bfloat16": 0.6}
"""The same for gradients of one sample, where rounding flips single ReLUs and nothing is averaged. The
step of bfloat16 is eight times that of float16; the exporter has measured that its map is the same."""
STEPS = 5
"""Both are so many times as large for a quantised model, where rounding moves whole steps."""
LEAST: dict[Numbers, float] = {"float32": 1e-2, "float16": 0.1, "bfloat16": 0.1}
"""Smallest scores that a difference is related to: rounding does not shrink with a score that is near 0."""


def examine_answers(bundle: Bundle, explainer: Explainer, *, every: bool) -> list[Finding]:
    """Return one finding for each output of each graph, and for the agreement of the graphs.

    With ``every`` for all graphs of the bundle, the further ones opened and closed one after the other; else
    for those that each explanation needs. Raises BundleError, ModelError and DeviceError.
    """
    found = _answers(bundle, explainer, every=every)
    return [*_expected(bundle, explainer, found), *_alike(bundle, explainer, found)]


def examine_first(bundle: Bundle, explainer: Explainer) -> list[Finding]:
    """Return the findings for the first question to ``predict`` and to ``accumulate``, two runs in all.

    None for a bundle without stored answers. Raises BundleError, ModelError and DeviceError.
    """
    found: dict[Place, list[float] | None] = {}
    roles: tuple[GraphRole, ...] = ("predict", "accumulate")
    for role in roles:
        variant = explainer.graphs.usual(role)
        runner = explainer.graphs.runner(role, variant)
        found |= _asked(bundle, explainer, runner, role, variant, first=True)
    return _expected(bundle, explainer, found)


def _answers(bundle: Bundle, explainer: Explainer, *, every: bool) -> dict[Place, list[float] | None]:
    """Ask each graph; return the fingerprints. ``accumulate`` is asked without noise too, see ``_still``."""
    manifest = bundle.manifest
    found: dict[Place, list[float] | None] = {}
    for role, variant in dict.fromkeys((graph.role, graph.variant) for graph in manifest.graphs):
        usual = role in REQUIRED_ROLES and variant == explainer.graphs.usual(role)
        if not (usual or every):
            continue
        graphs = explainer.graphs if usual else Graphs(bundle, explainer.backend, opened=())
        runner = graphs.runner(role, variant)
        found |= _asked(bundle, explainer, runner, role, variant)
        if not usual:
            graphs.close()
    return found


def _asked(
    bundle: Bundle,
    explainer: Explainer,
    runner: Runner,
    role: GraphRole,
    variant: str,
    *,
    first: bool = False,
) -> dict[Place, list[float] | None]:
    """Return the fingerprints of a graph's outputs for all questions to it, or for the ``first`` one."""
    manifest, backend = bundle.manifest, explainer.backend
    image, _ = prepare(reference_frame(bundle), manifest.input)
    features = Sizes.of(manifest).features
    asked = role, variant, image, manifest.output.shape, manifest.selftest.target, features
    found: dict[Place, list[float] | None] = {}

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs = runner.run({name: backend.upload(array) for name, array in inputs.items()})
        return {name: backend.download(tensor) for name, tensor in outputs.items()}

    for question in questions(*asked):
        for output, values in run(question.inputs).items():
            found[role, variant, question.frame, output] = fingerprint(values)
        if first:
            return found
    if (role, variant) == ("accumulate", ""):
        for question in questions(*asked, noise_std=0):
            found[role, _STILL, question.frame, SCORES] = fingerprint(run(question.inputs)[SCORES])
    return found


_STILL = "without noise"
"""In place of a variant: answers of ``accumulate`` that are compared with those of ``predict`` only."""


def _expected(
    bundle: Bundle, explainer: Explainer, found: Mapping[Place, list[float] | None]
) -> list[Finding]:
    """Compare with the bundle's answers: per output the worst of all frames."""
    member = bundle.manifest.selftest.answers
    if not member:
        return []
    worst: dict[Place, float] = {}
    asked = {place[:3] for place in found}
    for answer in decode_answers(bytes(bundle.members[member]), where=f"{bundle.path}:{member}"):
        if (answer.role, answer.variant, answer.frame) in asked:
            error = _error(found.get(_place(answer)), answer.values, answer.output, explainer)
            key = answer.role, answer.variant, 0, answer.output
            worst[key] = max(worst.get(key, 0.0), error)
    return [
        Finding(
            f"{output} of {' '.join((role, variant)).strip()} is off by",
            error,
            _allowed(bundle, explainer, gradient=role in ("accumulate", "cam") and output != SCORES),
        )
        for (role, variant, _, output), error in worst.items()
    ]


def _alike(bundle: Bundle, explainer: Explainer, found: Mapping[Place, list[float] | None]) -> list[Finding]:
    """Compare the scores of the graphs with those of ``predict`` as it is used."""
    findings = []
    used = explainer.graphs.usual("predict")
    for role, variant, words in (("accumulate", _STILL, "accumulate"), ("cam", "", "cam")):
        errors = [
            _error(values, found["predict", used, frame, SCORES], SCORES, explainer)
            for (of, kind, frame, output), values in found.items()
            if (of, kind, output) == (role, variant, SCORES)
        ]
        if errors:
            what = f"the scores of {words} differ from those of predict by"
            findings.append(Finding(what, max(errors), _allowed(bundle, explainer, gradient=False)))
    return findings


def _place(answer: Answer) -> Place:
    return answer.role, answer.variant, answer.frame, answer.output


def _error(
    found: list[float] | None, expected: list[float] | None, output: str, explainer: Explainer
) -> float:
    """Return the relative difference; two answers that are no numbers are equal."""
    if found is None or expected is None:
        return 0.0 if found is expected else float("inf")
    least = LEAST[explainer.backend.computes_in] if output == SCORES else 1e-30
    return difference(found, expected, least=least)


def _allowed(bundle: Bundle, explainer: Explainer, *, gradient: bool) -> float:
    table = GRADIENT if gradient else ANSWER
    return table[explainer.backend.computes_in] * (STEPS if bundle.manifest.model.straight_through else 1)
