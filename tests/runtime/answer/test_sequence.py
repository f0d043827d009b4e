from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.errors import TargetError
from gagrad_edge.output import OutputSpec, SequenceSpec
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place
from gagrad_runtime.question.target import cotangent
from tests.models import build_spec

NAMES = ["blank", "A", "B", "7"]
PLACEMENT = place((32, 96), build_spec(32, 96))


def line(*steps: tuple[int, float]) -> Outputs:
    """Return scores whose likeliest character at each step is the one given, with its probability."""
    scores = np.zeros((1, 4, len(steps)), np.float32)
    for step, (character, chance) in enumerate(steps):
        scores[0, :, step] = np.log((1 - chance) / 3)
        scores[0, character, step] = np.log(chance)
    return Outputs(scores)


def spec(steps: int, blank: int | None = 0) -> OutputSpec:
    return OutputSpec(
        name="text",
        shape=[4, steps],
        activation="softmax",
        classes=NAMES,
        task="sequence",
        sequence=SequenceSpec(blank),
    )


AAB7 = line((0, 0.9), (1, 0.8), (1, 0.95), (0, 0.9), (1, 0.7), (2, 0.6), (3, 0.9), (0, 0.99))


def test_the_greedy_path_is_the_text() -> None:
    """Equal neighbours are one character, blanks part them, and each has the probability of its best step."""
    said = reader_of(spec(8)).prediction(AAB7, PLACEMENT)
    assert said.text == "AAB7"
    assert [name for name, _ in said.characters] == ["A", "A", "B", "7"]
    assert [chance for _, chance in said.characters] == pytest.approx([0.95, 0.7, 0.6, 0.9], abs=1e-5)
    assert repr(said) == "Prediction('AAB7')"


def test_the_whole_line_is_explained_where_its_characters_are_emitted() -> None:
    """The cotangent is 1 at each emitting step of the path, and the confidence their product."""
    reader = reader_of(spec(8))
    target = reader.target(Wanted(), AAB7, PLACEMENT)
    assert str(target) == "AAB7"
    weights = cotangent(target, (4, 8))[0]
    assert [tuple(one) for one in np.argwhere(weights)] == [(1, 2), (1, 4), (2, 5), (3, 6)]
    assert reader.confidence(AAB7, AAB7, target) == pytest.approx([0.95 * 0.7 * 0.6 * 0.9], abs=1e-5)
    assert reader.prediction(AAB7, PLACEMENT).probability == pytest.approx(0.95 * 0.7 * 0.6 * 0.9, abs=1e-5)


def test_one_character_is_explained_by_its_number() -> None:
    """``character`` counts from 1 along the text; one beyond its end is refused with the text."""
    reader = reader_of(spec(8))
    target = reader.target(Wanted(character=3), AAB7, PLACEMENT)
    assert (target.name, target.path) == ("B (character 3)", ((2, 5),))
    assert reader.predicted(target, AAB7, PLACEMENT).name == "AAB7"
    with pytest.raises(TargetError, match="there is no character 5: the model reads 'AAB7'"):
        reader.target(Wanted(character=5), AAB7, PLACEMENT)


def test_without_a_blank_each_step_is_a_character() -> None:
    """A reader with a fixed number of places repeats equal neighbours."""
    said = reader_of(spec(3, None)).prediction(line((1, 0.9), (1, 0.9), (3, 0.9)), PLACEMENT)
    assert said.text == "AA7"


def test_a_line_without_text_explains_the_closest_character() -> None:
    """Where only blanks are read the text is empty, and the likeliest character is explained."""
    empty = line((0, 0.9), (0, 0.6), (0, 0.9))
    empty.scores[0, 2, 1] += 0.5
    reader = reader_of(spec(3))
    assert reader.prediction(empty, PLACEMENT).text == ""
    assert reader.target(Wanted(), empty, PLACEMENT).path == ((2, 1),)
    with pytest.raises(TargetError, match="leave `character` out"):
        reader.target(Wanted(character=1), empty, PLACEMENT)


@pytest.mark.parametrize("wanted", [Wanted(target="A"), Wanted(against="A"), Wanted(region="0,0,9,9")])
def test_a_line_has_no_classes_to_choose(wanted: Wanted) -> None:
    """A class, a difference and a region are refused with what can be asked instead."""
    with pytest.raises(TargetError, match="`character`"):
        reader_of(spec(8)).target(wanted, AAB7, PLACEMENT)
