"""The fault tests in short, and proof that they would see a fault. ``make soak`` runs the long ones."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.soak import bundles, faults, images
from benchmarks.soak.bundle_mutations import MUTATIONS, NOW, Workshop, contents
from benchmarks.soak.image_mutations import FORMATS, originals
from benchmarks.soak.isolation import in_batches
from benchmarks.soak.section import write_section
from gagrad_edge.errors import BundleError, FrameError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.trust import Policy, admit

pytestmark = pytest.mark.slow  # hundreds of damaged files each

REASONS = {
    "flipped bits with right checksums": "not|wrong|newer|another|missing",
    "extra member": "not named in the manifest",
    "missing member": "missing|is not signed|damaged",
    "packed by another program": "damaged|accounts for|manifest is not",
    "manifest made to agree": "signature is that of another bundle",
    "statement made to agree": "the signature of key [0-9a-f]+ is wrong",
    "statement changed": "the signature of key [0-9a-f]+ is wrong",
    "wrong key": "0 of the 1 that are needed|signature of key [0-9a-f]+ is wrong",
    "signature of another bundle": "signature is that of another bundle",
    "old version": "version: part [1-4] is older than 5",
    "expired": "expiry: it expired",
    "unpacked and changed": "wrong size or hash|not named|missing|not a plain file|manifest",
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_bundle_is_refused_for_its_change(name: str, tmp_path: Path) -> None:
    """Each for the reason it should be, so that no check hides behind another."""
    shop = Workshop(tmp_path)
    for seed in range(12):
        mutant = MUTATIONS[name](shop, np.random.default_rng(seed))
        if mutant == shop.good:
            continue
        path = mutant if isinstance(mutant, Path) else tmp_path / "mutant.gagrad"
        if isinstance(mutant, bytes):
            path.write_bytes(mutant)
        with pytest.raises(BundleError) as caught:
            admit(path, shop.policy, now=NOW)
        assert re.search(REASONS.get(name, "."), caught.value.what), caught.value.what


def test_no_changed_bundle_is_accepted_and_none_crashes() -> None:
    """Some hundred, of every kind."""
    found = bundles.attempt(0, 340, None)
    assert {name.split(": ")[1] for name in found} == {"refused"}
    assert sum(found.values()) == 340


def test_the_bundle_test_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that trusts the forger too, and has no floor, accepts some of them."""

    def lenient(shop: Workshop) -> None:
        shop.good = shop.signed(shop.key)
        shop.members = contents(shop.good)
        shop.policy = Policy((shop.key.public, shop.foreign.public))

    monkeypatch.setattr(Workshop, "__post_init__", lenient)
    found = bundles.attempt(0, 170, None)
    assert found["wrong key: accepted"]
    assert found["old version: accepted"]


def test_damaged_images_give_a_map_of_the_right_size_or_an_error(tiny_bundle: Path) -> None:
    """Some hundred over the four formats."""
    found = images.attempt(0, 400, str(tiny_bundle))
    assert {name.split(": ")[1] for name in found} == {"explained", "refused"}
    assert sum(found.values()) == 400


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_no_file_that_is_cut_gives_other_pixels(form: str, tmp_path: Path) -> None:
    """What is cut off the end either held no pixels of the first page, or is missed."""
    path = tmp_path / "frame"
    for data in originals()[form]:
        path.write_bytes(data)
        whole = load_frame(path).pixels
        for cut in range(1, min(len(data), 120)):
            path.write_bytes(data[:-cut])
            try:
                found = load_frame(path).pixels
            except FrameError:
                continue
            np.testing.assert_array_equal(found, whole)


def _die(first: int, count: int, at: Any) -> Counter[str]:
    if first == at:
        os.abort()
    return Counter({"done": count})


def test_a_process_that_dies_is_counted() -> None:
    """And the others go on."""
    tally = in_batches(_die, 3, 1, 1)
    assert tally.deaths == [1]
    assert tally.outcomes == {"done": 2}


def test_sections_of_the_page_do_not_disturb_each_other(tmp_path: Path) -> None:
    """write_section replaces its own section of docs/soak.md and keeps the others."""
    page = tmp_path / "soak.md"
    write_section("A", "a", "first text", page=page)
    write_section("B", "b", "second text", page=page)
    write_section("A", "a", "third text", page=page)
    text = page.read_text()
    assert text.count("## ") == 2
    assert "first text" not in text
    assert text.index("third text") < text.index("## B") < text.index("second text")


def test_no_fault_of_the_results_costs_a_verdict_or_an_identity(tmp_path: Path) -> None:
    """A dozen random faults of index and folder, of a station that runs or was killed."""
    found = faults.attempt(12, tmp_path)
    assert found["failed"] == 0
    assert found["without"] == []
    assert found["reused"] == 0
    assert found["seconds"] < 30
