from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export.arrange import Wishes
from gagrad_export.arrange.sequence import find_sequence
from tests.export.arrange.models import model, probe, text_reader

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = tuple("ABCDEFGHIJKL")


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("tail", ["Softmax", "LogSoftmax"])
def test_a_softmax_over_many_characters_is_a_text_reader(tail: str, *, time_first: bool) -> None:
    """Without names a softmax over a last axis of ten and more tells; the blank is predicted most."""
    found = find_sequence(probe(text_reader(13, tail, time_first=time_first)), Wishes())
    assert found is not None
    assert found.sequence is not None
    assert found.sequence.blank == 0
    assert found.shown_name == "text"
    assert "predicted at" in found.evidence


def test_logits_along_a_line_of_text_are_a_text_reader() -> None:
    """Without names and softmax, steps that part a wide image evenly tell; those of a square one do not."""
    found = find_sequence(probe(text_reader(13, "Identity", size=(8, 32))), Wishes())
    assert found is not None
    assert find_sequence(probe(text_reader(13, "Identity")), Wishes()) is None


@pytest.mark.parametrize("blank", [0, 12])
def test_characters_without_the_blank_get_it_where_it_is_predicted(blank: int) -> None:
    """A list of one character less is completed with the blank, first or last by what is predicted."""
    found = find_sequence(probe(text_reader(13, "Identity", blank=blank)), Wishes(classes=LETTERS))
    assert found is not None
    assert found.sequence is not None
    assert found.sequence.blank == blank
    expected = ("blank", *LETTERS) if blank == 0 else (*LETTERS, "blank")
    assert found.classes == expected


def test_where_the_scores_do_not_tell_the_blank_has_to_be_said() -> None:
    """Two ends that are both never predicted are a question to the user, which ``blank`` answers."""
    proto = text_reader(13, blank=5)
    with pytest.raises(SettingError, match="whether the blank is the first or the last"):
        find_sequence(probe(proto), Wishes(classes=LETTERS))
    found = find_sequence(probe(proto), Wishes(classes=LETTERS, blank="last"))
    assert found is not None
    assert found.classes[-1] == "blank"


def test_paddles_file_names_its_characters() -> None:
    """PP-OCR's ``character`` lists all but the blank, which is first, and the space, which is last."""
    proto = text_reader(14)
    entry = proto.metadata_props.add()
    entry.key, entry.value = "character", "\n".join(LETTERS) + "\n"
    found = find_sequence(probe(proto), Wishes())
    assert found is not None
    assert found.classes == ("blank", *LETTERS, " ")


def test_a_named_blank_is_found_by_its_name() -> None:
    """A complete list may name the blank anywhere."""
    names = (*LETTERS[:5], "<blank>", *LETTERS[5:])
    found = find_sequence(probe(text_reader(13)), Wishes(classes=names))
    assert found is not None
    assert found.sequence is not None
    assert found.sequence.blank == 5


def test_a_file_of_characters_keeps_its_space(tmp_path: Path) -> None:
    """A line with a space is the character space, and one line is all characters in a row."""
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join([*LETTERS[:-1], " "]) + "\n", encoding="utf-8")
    row = tmp_path / "row.txt"
    row.write_text("".join(LETTERS[:-1]) + " \n", encoding="utf-8")
    for file in (lines, row):
        found = find_sequence(probe(text_reader(13)), Wishes(classes=file))
        assert found is not None
        assert found.classes == ("blank", *LETTERS[:-1], " ")


def test_positions_without_a_blank() -> None:
    """``blank=none`` reads each step as a character."""
    found = find_sequence(probe(text_reader(12)), Wishes(classes=LETTERS, blank="none"))
    assert found is not None
    assert found.sequence is not None
    assert found.sequence.blank is None


@pytest.mark.parametrize(
    ("outputs", "body"),
    [
        ("float[N, 4] classes", "classes = ReduceMean <keepdims = 0> (a, places)"),
        ("float[N, 4, 16, 16] mask", "mask = Softmax <axis = 1> (a)"),
        ("float[N, 16, 64] tokens", "t = Transpose <perm = [0, 2, 1, 3]> (a)\n tokens = Reshape (t, flat)"),
        (
            "float[N, 16, 64] scores, float[N, 16, 4] boxes",
            """
            t = Transpose <perm = [0, 2, 1, 3]> (a)
            r = Reshape (t, flat)
            scores = Softmax (r)
            boxes = Slice (r, s, e, ax)
            """,
        ),
        ("float[N, 64, 16] anchors", "r = Reshape (a, anchor)\n anchors = Softmax <axis = 1> (r)"),
    ],
)
def test_models_of_other_tasks_are_left_alone(outputs: str, body: str) -> None:
    """Classes, masks, tokens, class scores of anchors and detectors are no text readers."""
    proto = model(
        outputs,
        body,
        places=np.array([2, 3]),
        flat=np.array([-1, 16, 64]),
        anchor=np.array([-1, 64, 16]),
        s=np.array([0]),
        e=np.array([4]),
        ax=np.array([2]),
    )
    assert find_sequence(probe(proto), Wishes()) is None


def test_what_cannot_be_read_is_refused() -> None:
    """Names that do not fit, and a model without steps, are refused where the task is asked for."""
    with pytest.raises(SettingError, match="3 characters for a model with 13"):
        find_sequence(probe(text_reader(13)), Wishes(task="sequence", classes=("A", "B", "C")))
    classes = model("float[N, 4] classes", "classes = ReduceMean <keepdims = 0> (a, p)", p=np.array([2, 3]))
    with pytest.raises(ModelError, match="no outputs of the model have"):
        find_sequence(probe(classes), Wishes(task="sequence"))
    with pytest.raises(SettingError, match="there is no character"):
        find_sequence(probe(text_reader(13)), Wishes(blank="middle"))
