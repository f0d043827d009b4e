"""The answers of the graphs to the self-test's questions, which the bundle carries for its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.manifest import GraphKey
from gagrad_edge.selftest import Answer, fingerprint, questions
from gagrad_export.verify.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.abi import Shape
    from gagrad_edge.bundle.graph_file import GraphFile


def answers_of(
    graphs: Mapping[GraphKey, GraphFile],
    image: NDArray[np.float32],
    scores: Sequence[int],
    target: Sequence[int],
    features: Sequence[Shape] = (),
) -> tuple[Answer, ...]:
    """Return the answers of the portable float32 graphs; one session is open at a time.

    ``image`` is the self-test's frame, ``[1, C, H, W]``, ``scores`` the shape of one row of scores,
    ``features`` are ``abi.Sizes.features``. An output that is no number, or nothing but zeros, is left out:
    there is nothing to compare with.
    """
    plain = [key for key in graphs if key == GraphKey(key.role, key.variant)]
    asked = image, scores, target, features
    return tuple(answer for key in plain for answer in _answers(key, graphs[key], *asked))


def _answers(
    key: GraphKey,
    file: GraphFile,
    image: NDArray[np.float32],
    scores: Sequence[int],
    target: Sequence[int],
    features: Sequence[Shape],
) -> Iterator[Answer]:
    session = open_session(file, f"graph {key.role!r}")
    names = session.outputs
    for question in questions(key.role, key.variant, image, scores, target, features):
        for name, values in zip(names, session.run(names, dict(question.inputs)), strict=True):
            numbers = fingerprint(values)
            if numbers is not None and any(numbers):
                yield Answer(
                    role=key.role, variant=key.variant, frame=question.frame, output=name, values=numbers
                )
