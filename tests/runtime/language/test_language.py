"""The language of a process and of a request, phrases, plurals."""

from __future__ import annotations

import pickle
import subprocess
import sys
from threading import Thread

import pytest

from gagrad_edge.errors import SettingError
from gagrad_runtime.language import (
    accepted,
    choose,
    current,
    joined,
    phrase,
    phrases,
    plural,
    shown,
    speaking,
    text,
)


def test_english_without_a_choice() -> None:
    """Where nobody has chosen, texts are English and values stand in their places."""
    assert current() == "en"
    assert text("place {number}", number=2) == "place 2"


def test_plural_forms_of_english() -> None:
    """English has a form for one and one for any other number."""
    forms = [plural("{count} part", "{count} parts", count) for count in (0, 1, 2, 21)]
    assert forms == ["0 parts", "1 part", "2 parts", "21 parts"]


def test_a_phrase_is_english_until_it_is_shown() -> None:
    """A phrase compares, joins and pickles as English text, and is translated where it is shown."""
    one = phrase("Frame")
    assert one == "Frame"
    assert f"{one}!" == "Frame!"
    copied = pickle.loads(pickle.dumps(one))  # noqa: S301
    with speaking("ja"):
        assert shown(one) == shown(copied) == "検査画像"
        assert shown("Frame") == "Frame"
    assert shown(one) == "Frame"


def test_phrases_within_a_phrase_are_translated() -> None:
    """A phrase among the values of another one is shown in the same language."""
    whole = phrase("<{inner}>", inner=phrase("Frame"))
    assert whole == "<Frame>"
    with speaking("ja"):
        assert shown(whole) == "<検査画像>"


def test_counted_phrases_pickle() -> None:
    """A phrase with a count keeps its form when it crosses a process border."""
    one = phrases("{count} part", "{count} parts", 1)
    assert pickle.loads(pickle.dumps(one)) == one == "1 part"  # noqa: S301


def test_a_request_has_its_own_language() -> None:
    """What one thread speaks changes nothing for another one."""
    seen = []
    with speaking("ja"):
        thread = Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
        assert current() == "ja"
    assert seen == ["en"]
    assert current() == "en"


def test_unknown_language_is_refused() -> None:
    """A language that there is not is an error that lists those that there are."""
    with pytest.raises(SettingError, match=r"no language 'fr'[\s\S]*en, ja"):
        choose("fr")
    with pytest.raises(SettingError), speaking("JA"):
        pass
    assert current() == "en"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("fr,ja;q=0.5", "ja"),
        ("fr;q=1, de", None),
        ("ja;q=0", None),
        ("ja;q=nan,en;q=0.1", "en"),
        ("", None),
        (";;,,;q=", None),
    ],
)
def test_accept_language(header: str, language: str | None) -> None:
    """Of the languages that a browser names, the one of ours with the highest weight is taken."""
    assert accepted(header) == language


def test_the_empty_text_stays_empty() -> None:
    """gettext keeps a catalogue's head under the empty text; nobody is shown that head."""
    with speaking("ja"):
        assert text("") == ""


def test_sentences_stand_behind_each_other() -> None:
    """English has a space between two sentences, Japanese has none."""
    assert joined(["One.", "Two."]) == "One. Two."
    with speaking("ja"):
        assert joined(["一。", "二。"]) == "一。二。"


def test_english_loads_no_catalogue() -> None:
    """English texts cost no import of gettext and read no font."""
    code = (
        "import sys; from gagrad_runtime.language import text, plural; text('{b}', b=1); plural('a', 'b', 2);"
        "print([name for name in ('gettext', 'PIL', 'numpy') if name in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
