"""Which input is the image, which output is the score, and what becomes of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_edge.errors import ModelError, SettingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

CHANNELS = (1, 3)


def choose_input(graph: ir.Graph, name: str | None, fixed: Collection[str], notes: list[str]) -> ir.Value:
    """Return the image: the input named, the only one, or the only one that has the shape of images.

    Inputs that are ``fixed`` to a constant are not considered. Raises ModelError with the choices.
    """
    inputs = [value for value in graph.inputs if value.name not in fixed]
    images = [value for value in inputs if _is_image(value)]
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


def require_float(output: ir.Value, names: set[str]) -> None:
    """Refuse an output that is an index or a flag. Raises ModelError with the value in front of it.

    ``names`` are those that the model's file knows.
    """
    if output.dtype is None or output.dtype.is_floating_point():
        return
    value, in_front = output, None
    while (node := value.producer()) is not None and node.inputs and node.inputs[0] is not None:
        value = node.inputs[0]
        if value.dtype is not None and value.dtype.is_floating_point() and value.name in names:
            in_front = value.name
            break
    raise ModelError(
        f"the output is {output.dtype}, an index or a flag, which has no gradient",
        where=f"output {output.name!r}",
        hint=f"explain the scores in front of it: `output_name={in_front}`"
        if in_front
        else "choose the scores that it is made from with `output_name`",
    )


def _is_image(value: ir.Value) -> bool:
    floating = value.dtype is not None and value.dtype.is_floating_point()
    if value.shape is None or value.shape.rank() != 4 or not (floating or value.dtype == ir.DataType.UINT8):
        return False
    return value.shape[1] in CHANNELS or value.shape[3] in CHANNELS


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
