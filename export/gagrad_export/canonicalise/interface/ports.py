"""The model's input that is the image and its output that is the score; other inputs become constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_edge.errors import ModelError, SettingError
from gagrad_edge.input import MAX_CHANNELS
from gagrad_export.canonicalise.contract import Pass
from gagrad_export.canonicalise.findings import findings_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

USUAL = (1, 3)
"""Channels of grey and colour images: an axis of that length is their axis before any other is."""
CHANNELS = tuple(range(1, MAX_CHANNELS + 1))
"""Channels that an image may have."""


class ChoosePorts(Pass):
    """Makes the image the only input and the score the only output. Raises ModelError and SettingError."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Choose as the request says, and record names and constants in the findings."""
        graph, findings = model.graph, findings_of(model)
        request = findings.request
        before = (list(graph.inputs), list(graph.outputs))
        findings.value_names = frozenset(value.name or "" for node in graph for value in node.outputs)
        image = choose_input(
            graph, request.input_name, request.fixed, findings.notes, channels=request.channels
        )
        output = choose_output(graph, request.output_name, findings.notes)
        findings.output_name = output.name or "scores"
        unused = passes.RemoveUnusedNodesPass()(model)
        findings.constants = fix_inputs(graph, image, request.fixed, findings.notes)
        changed = before != (list(graph.inputs), list(graph.outputs))
        return ir.passes.PassResult(model, unused.modified or changed)


def choose_input(
    graph: ir.Graph,
    name: str | None,
    fixed: Collection[str],
    notes: list[str],
    *,
    channels: int | None = None,
) -> ir.Value:
    """Return the image: the input named, the only one, or the only one that has the shape of images.

    Images have ``channels``; where their number is not known, 1 or 3, or else up to 16. Inputs that are
    ``fixed`` to a constant are not considered. Raises ModelError with the choices.
    """
    inputs = [value for value in graph.inputs if value.name not in fixed]
    counts = (USUAL, CHANNELS) if channels is None else ((channels,),)
    found = ([value for value in inputs if _is_image(value, some)] for some in counts)
    images = next((some for some in found if some), [])
    if name is None and len(inputs) > 1 and len(images) == 1:
        notes.append(
            f"input {images[0].name} is the image: the only one of {len(inputs)} inputs with such a shape"
        )
        return images[0]
    return _choose(inputs, name, "input")


def choose_output(graph: ir.Graph, name: str | None, notes: list[str]) -> ir.Value:
    """Make the score the only output: the one named, any value inside the graph, or the only one."""
    inner = [value for node in graph for value in node.outputs if name is not None and value.name == name]
    output = inner[0] if inner else _choose(list(graph.outputs), name, "output")
    ignored = [value.name or "" for value in graph.outputs if value is not output]
    notes += [f"output {name} is ignored" for name in ignored]
    graph.outputs.clear()
    graph.outputs.append(output)
    return output


def only_scores(outputs: Sequence[ir.Value]) -> str | None:
    """Return the only one of several ``outputs`` that can be scores: the others are indices or flags."""
    able = [value.name for value in outputs if value.dtype is None or value.dtype.is_floating_point()]
    return able[0] if len(outputs) > 1 and len(able) == 1 else None


def fix_inputs(
    graph: ir.Graph, image: ir.Value, fixed: Mapping[str, ArrayLike], notes: list[str]
) -> dict[str, NDArray[np.generic]]:
    """Make a constant of each input but the image, from ``fixed``; return the constants by name.

    Inputs that nothing uses are dropped. Raises ModelError and SettingError.
    """
    others = [value for value in graph.inputs if value is not image]
    names = [value.name or "" for value in others]
    unknown = sorted(set(fixed) - set(names))
    if unknown:
        raise SettingError(
            f"the model has no input {unknown[0]!r} besides the image", where="fixed", choices=names
        )
    missing = [value for value in others if value.uses() and value.name not in fixed]
    if missing:
        raise ModelError(
            "the model also needs the inputs "
            + ", ".join(f"{value.name} ({value.dtype}, {value.shape})" for value in missing),
            hint="give each a constant: `fixed={"
            + ", ".join(f"{value.name!r}: ..." for value in missing)
            + "}` (a number, numbers with commas, or the path of an .npy file)",
        )
    constants = {}
    for value in others:
        name = value.name or ""
        if not value.uses():
            notes.append(f"input {name} is not needed for the output and is left out")
            continue
        array = _constant(value, fixed[name])
        constants[name] = array
        notes.append(f"input {name} is fixed at {_said(array)}")
        value.const_value = ir.tensor(array, name=name)
        value.shape = ir.Shape(array.shape)
    graph.inputs.clear()
    graph.inputs.append(image)
    for value in others:
        if value.name in constants:
            graph.register_initializer(value)
    return constants


def _is_image(value: ir.Value, channels: Sequence[int]) -> bool:
    floating = value.dtype is not None and value.dtype.is_floating_point()
    if value.shape is None or value.shape.rank() != 4 or not (floating or value.dtype == ir.DataType.UINT8):
        return False
    return value.shape[1] in channels or value.shape[3] in channels


def _constant(value: ir.Value, given: ArrayLike) -> NDArray[np.generic]:
    """Return what was given in the dtype of the input and broadcast to its shape; a free dimension is 1."""
    assert value.dtype is not None  # noqa: S101 - an input without a type does not load
    array = np.asarray(given)
    if value.shape is None:
        return array.astype(value.dtype.numpy())
    free = [dim if isinstance(dim, int) and dim > 0 else None for dim in value.shape]
    have = [1] * (len(free) - array.ndim) + list(array.shape)
    try:
        shape = [have[axis] if dim is None else dim for axis, dim in enumerate(free)]
        return np.broadcast_to(array, shape).astype(value.dtype.numpy())
    except (ValueError, IndexError) as error:
        raise SettingError(
            f"a value of shape {array.shape} does not fit the input {value.name}, which is {value.shape}",
            where="fixed",
        ) from error


def _said(array: NDArray[np.generic]) -> str:
    if array.size <= 8:
        return " ".join(f"{item:.4g}" for item in array.ravel().tolist())
    return f"{array.dtype} {'×'.join(map(str, array.shape))}"


def _choose(values: Sequence[ir.Value], name: str | None, kind: str) -> ir.Value:
    names = [value.name or "" for value in values]
    if name is None and len(values) == 1:
        return values[0]
    if name in names:
        return values[names.index(name)]
    what = f"the model has {len(values)} {kind}s" if name is None else f"the model has no {kind} {name!r}"
    raise ModelError(what, hint=f"choose one with `{kind}_name`", choices=names)
