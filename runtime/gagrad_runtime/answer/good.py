"""Whether the model's answer is that the part is good: by the name of the class, or as nothing is found."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from gagrad_runtime.answer.prediction import MAY_BE_NONE, PRESENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.answer.prediction import Prediction

OK_NAMES = (
    "ok", "okay", "good", "good part", "ok part", "pass", "passed", "accept", "accepted", "normal", "healthy",
    "undamaged", "no defect", "without defect", "defect free", "not defective", "non defective", "i.O.",
    "gut", "良品", "合格", "正常", "良", "양품", "정상",
)  # fmt: skip
"""Names of classes for good parts, in any case and with any signs between the words."""
NG_NAMES = (
    "ng", "not ok", "nok", "not good", "no good", "bad", "bad part", "fail", "failed", "reject", "rejected",
    "faulty", "defect", "defective", "anomaly", "anomalous", "abnormal", "n.i.O.", "schlecht", "不良",
    "不良品", "不合格", "異常", "异常", "불량",
)  # fmt: skip
"""Names of classes for bad parts."""


def _plain(name: str) -> str:
    """Return the letters and digits of ``name`` behind its last slash, all in one case."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFKC", name))[-1]
    return re.sub(r"[\W_]+", "", last.casefold())


_OK, _NG = frozenset(map(_plain, OK_NAMES)), frozenset(map(_plain, NG_NAMES))


def good_name(name: str, classes: Sequence[str]) -> bool | None:
    """Return whether the class ``name`` is one for good parts; None where that is not known.

    Where one of ``classes`` is for good parts, every other one is not.
    """
    plain = _plain(name)
    if plain in _OK:
        return True
    return False if plain in _NG or _has_good(tuple(classes)) else None


@lru_cache(maxsize=32)
def _has_good(classes: tuple[str, ...]) -> bool:
    """Return whether one of ``classes`` is for good parts; a thousand names are read once, not per image."""
    return any(_plain(one) in _OK for one in classes)


def says_good(said: Prediction) -> bool | None:
    """Return whether the model says that the part is good; None where its answers do not tell.

    A detector, a segmenter and a model of labels say so when they find nothing, or only what is called good;
    what else they find may be a defect or not.
    """
    if said.task == "anomaly":
        return None if said.ng is None else not said.ng
    if said.task in MAY_BE_NONE:
        return True if all(good_name(name, ()) for name in said.present) else None
    if said.task != "classification":
        return None
    good = good_name(said.target.name, said.class_names)
    if len(said.scores) > 1 or good is None or said.probability is None:
        return good
    return good == (said.probability >= PRESENT)  # one label, which is there or not
