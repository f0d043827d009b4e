"""References of a graph to its tensors: ours are found, any other is refused, and nothing else changes."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.bundle.onnx_wire import at, references, rewritten
from gagrad_edge.errors import BundleError

W = np.arange(6, dtype=np.float32).reshape(2, 3)
SHA256 = hashlib.sha256(W.tobytes()).hexdigest()
PLACE = f"weights/{SHA256}"


def elsewhere(name: str = "w", place: str = PLACE, **entries: str) -> TensorProto:
    """Return a tensor that stands at ``place``."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2, 3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": place} | entries).items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(*tensors: TensorProto, attributes: dict[str, Any] | None = None) -> onnx.ModelProto:
    """Return ``y = x·w + b`` with ``tensors`` as further initializers."""
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Add", ["z", "b"], ["y"])]
    if attributes:
        nodes.append(helper.make_node("Constant", [], ["unused"], **attributes))
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["N", 2])],
        [value("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.ones(3, np.float32), "b"), *tensors],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_reference_is_what_the_graph_says_of_a_tensor() -> None:
    """Name, hash, type and shape; tensors in the graph are none."""
    (found,) = references(model(elsewhere()).SerializeToString(), where="x")
    assert (found.name, found.sha256, found.dtype, found.shape, found.size) == (
        "w",
        SHA256,
        np.float32,
        (2, 3),
        24,
    )


def test_a_completed_graph_is_the_one_with_its_tensors_in_it() -> None:
    """Read by onnx it is equal to the graph that was never taken apart, and the checker passes it."""
    file = GraphFile(model(elsewhere()).SerializeToString(), {SHA256: W.reshape(-1).view(np.uint8)})
    whole = onnx.load_model_from_string(file.complete())
    expected = model(numpy_helper.from_array(W, "w"))
    onnx.checker.check_model(whole, full_check=True)
    assert whole == expected
    assert np.array_equal(file.tensors()["w"], W)
    assert file.size == len(file.data) + W.nbytes


def test_a_tensor_that_two_names_share_counts_once() -> None:
    """Equal tensors of one graph are one, under each of their names."""
    file = GraphFile(
        model(elsewhere(), elsewhere("v")).SerializeToString(), {SHA256: W.reshape(-1).view(np.uint8)}
    )
    assert sorted(file.tensors()) == ["v", "w"]
    assert file.size == len(file.data) + W.nbytes


def test_a_graph_without_references_stays_as_it_is() -> None:
    """Byte for byte."""
    data = model(numpy_helper.from_array(W, "w")).SerializeToString()
    assert references(data, where="x") == ()
    assert GraphFile(data).complete() == data


def test_a_place_can_be_an_address() -> None:
    """As OpenVINO reads it; name, type and shape stay."""
    data = rewritten(
        model(elsewhere()).SerializeToString(), lambda _: at("here", offset=7, length=24), where="x"
    )
    (_, tensor) = onnx.load_model_from_string(data).graph.initializer
    assert {entry.key: entry.value for entry in tensor.external_data} == {
        "location": "here",
        "offset": "7",
        "length": "24",
    }
    assert (tensor.name, list(tensor.dims)) == ("w", [2, 3])


def inside_a_branch() -> onnx.ModelProto:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2, 3])],
        [elsewhere()],
    )
    return model(numpy_helper.from_array(W, "w"), attributes={"value_float": 1.0, "g": branch})


def in_a_function() -> onnx.ModelProto:
    made = model(numpy_helper.from_array(W, "w"))
    node = helper.make_node("Constant", [], ["c"], value=elsewhere())
    made.functions.append(helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 18)]))
    return made


def sparse() -> onnx.ModelProto:
    made = model(numpy_helper.from_array(W, "w"))
    made.graph.sparse_initializer.add(
        values=elsewhere(), indices=numpy_helper.from_array(np.array([0])), dims=[6]
    )
    return made


def said_twice() -> onnx.ModelProto:
    tensor = elsewhere()
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model(tensor)


def with_bytes() -> onnx.ModelProto:
    tensor = elsewhere()
    tensor.raw_data = W.tobytes()
    return model(tensor)


HOSTILE = {
    "another folder": lambda: model(elsewhere(place="/etc/passwd")),
    "out of the folder": lambda: model(elsewhere(place=f"weights/../{SHA256}")),
    "a suffix": lambda: model(elsewhere(place=PLACE + "\n")),
    "an address": lambda: model(elsewhere(place="*/_ORT_MEM_ADDR_/*", offset="4096", length="24")),
    "an offset": lambda: model(elsewhere(offset="4096")),
    "a constant": lambda: model(numpy_helper.from_array(W, "w"), attributes={"value": elsewhere()}),
    "several constants": lambda: model(numpy_helper.from_array(W, "w"), attributes={"t": [elsewhere()]}),
    "a branch": inside_a_branch,
    "a function": in_a_function,
    "a sparse tensor": sparse,
    "two places": said_twice,
    "bytes, too": with_bytes,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_engine_is_sent_to_a_path(kind: str) -> None:
    """A graph that refers to anything but the bundle's tensors raises BundleError, unseen by an engine."""
    data = HOSTILE[kind]().SerializeToString()
    with pytest.raises(BundleError, match="a graph in it"):
        references(data, where="x")


def test_numbers_in_more_bytes_than_they_need_hide_nothing() -> None:
    """Protobuf's readers accept 1 written in two bytes, so this one does, too."""
    data = model(numpy_helper.from_array(W, "w"), attributes={"value": elsewhere()}).SerializeToString()
    for plain, longer in ((b"\x70\x01", b"\x70\x81\x00"), (b"\x70\x01", b"\xf0\x00\x01")):
        assert plain in data
        tensor = elsewhere().SerializeToString()
        hidden = tensor.replace(plain, longer)
        assert TensorProto.FromString(hidden).data_location == TensorProto.EXTERNAL
        whole = onnx.ModelProto()
        whole.CopyFrom(model(numpy_helper.from_array(W, "w")))
        wrapped = whole.SerializeToString() + _field(
            7, _field(5, hidden.replace(PLACE.encode(), b"x" * len(PLACE)))
        )
        with pytest.raises(BundleError, match="a graph in it"):
            references(wrapped, where="x")


def _field(number: int, content: bytes) -> bytes:
    size, head = len(content), bytes([number << 3 | 2])
    while size >= 0x80:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + content


def test_any_bytes_are_read_or_refused() -> None:
    """Damaged graphs and random bytes raise BundleError and nothing else."""
    data = model(elsewhere(), attributes={"value_float": 1.0}).SerializeToString()
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            damaged[position] = rng.integers(256)
        for candidate in (bytes(damaged), data[: rng.integers(len(data))], rng.bytes(50)):
            with suppress(BundleError):
                references(candidate, where="x")


@pytest.mark.parametrize("types", [b"", b"\x01\x01"])
def test_a_tensor_with_several_types_or_none_is_refused(types: bytes) -> None:
    """A list stands where one number belongs."""
    tensor = elsewhere()
    tensor.ClearField("data_type")
    data = _field(7, _field(5, tensor.SerializeToString() + _field(2, types)))
    with pytest.raises(BundleError, match="is not an ONNX file"):
        references(data, where="x")


def test_messages_within_one_another_have_an_end() -> None:
    """A graph of a million levels is an error about the bundle, and no RecursionError."""
    inner = b""
    for _ in range(300):
        inner = _field(1, _field(5, _field(6, inner)))
    with pytest.raises(BundleError, match="not an ONNX file"):
        references(_field(7, inner), where="x")


def test_a_tensor_of_another_size_than_the_graph_says_is_refused() -> None:
    """What the graph says of shape and type must fit the bytes."""
    file = GraphFile(model(elsewhere()).SerializeToString(), {SHA256: np.zeros(20, np.uint8)})
    with pytest.raises(BundleError, match="'w' has 20 bytes, and the graph says 24"):
        file.tensors()
