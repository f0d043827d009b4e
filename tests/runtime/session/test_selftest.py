"""A bundle's own frame and map are read with the suspicion that the rest of it gets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.errors import BundleError
from gagrad_runtime.session.selftest import expected_map, reference_frame
from tests.models import MEMBERS, plain_manifest


def written(path: Path, **members: bytes) -> Any:
    changed = {name: members.get(Path(name).stem, data) for name, data in MEMBERS.items()}
    write_bundle(path / "part.gagrad", plain_manifest(), changed)
    return read_bundle(path / "part.gagrad")


def npy(array: Any, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), version)
    return stream.getvalue()


def test_the_map_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The self-test's expected map is read bit for bit."""
    values = np.random.default_rng(0).random((24, 32), np.float32)
    np.testing.assert_array_equal(expected_map(written(tmp_path, saliency=npy(values))), values)


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY\x01\x00\xff\xff",
        npy(np.zeros((24, 32))),
        npy(np.zeros((24, 31), np.float32)),
        npy(np.zeros((24, 32), np.float32), (2, 0)),
        npy(np.zeros((32, 24), np.float32).T),
        npy(np.zeros((24, 32), np.float32))[:-1],
        npy(np.zeros((24, 32), np.float32)).replace(b"(24, 32), }", b"(10**11,),}"),
        npy(np.zeros((24, 32), np.float32)).replace(b"(24, 32), }", b"(9999999,)}"),
        npy(np.zeros((24, 32), np.float32)).replace(b"{'descr'", b"{{{{{{{{"),
    ],
)
def test_a_map_that_is_none_is_an_error_and_takes_no_memory(tmp_path: Path, member: bytes) -> None:
    """An expected map of another form, type or size raises BundleError before memory is taken."""
    with pytest.raises(BundleError, match="expected map is not readable"):
        expected_map(written(tmp_path, saliency=member))


def test_a_frame_that_is_none_is_the_bundles_error(tmp_path: Path) -> None:
    """Exit code 4 and not 3: no image of the user's is at fault."""
    with pytest.raises(BundleError, match="test frame cannot be used"):
        reference_frame(written(tmp_path))
