"""Which input is the image and which output is the score: chosen, checked, and given a free batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = "N"


def choose_input(graph: ir.Graph, name: str | None) -> ir.Value:
    """Return the image input: the one named, or the only one. Raises ModelError with the choices."""
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    return _choose(inputs, name, "input")


def choose_output(graph: ir.Graph, name: str | None) -> ir.Value:
    """Return the score output: the one named, which may be any value inside the graph, or the only one."""
    if name is not None:
        for node in graph:
            for value in node.outputs:
                if value.name == name:
                    return value
    return _choose(list(graph.outputs), name, "output")


def fix_input(value: ir.Value, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Give the image input its fixed size and a free batch; return (C, H, W). Raises ModelError."""
    where = f"input {value.name!r}"
    if value.dtype != ir.DataType.FLOAT:
        raise ModelError(
            f"the model takes {value.dtype} images; float32 is supported",
            where=where,
            hint="export the model with a float32 input",
        )
    if value.shape is None or value.shape.rank() != 4:
        raise ModelError(
            f"the model takes an input of shape {value.shape}, not an image [N, C, H, W]",
            where=where,
            hint="choose the image input with --input-name, or export the model with an NCHW input",
        )
    dims = [dim if isinstance(dim, int) and dim > 0 else None for dim in value.shape]
    channels = dims[1]
    if channels not in (1, 3):
        raise ModelError(
            f"the model takes {channels or 'an unknown number of'} channels; 1 and 3 are supported",
            where=where,
            hint="export the model with an NCHW input of 1 or 3 channels",
        )
    wanted = size or (dims[2], dims[3])
    if wanted[0] is None or wanted[1] is None:
        raise ModelError(
            "the model takes images of any size", where=where, hint="say which with --size HEIGHT WIDTH"
        )
    for have, want in zip(dims[2:], wanted, strict=True):
        if have is not None and have != want:
            raise ModelError(
                f"the model takes images of {dims[2]}×{dims[3]}, not {wanted[0]}×{wanted[1]}",
                where=where,
                hint=f"give --size {dims[2]} {dims[3]}, or leave --size out",
            )
    value.shape = ir.Shape([BATCH, channels, *wanted])
    return channels, wanted[0], wanted[1]


def _choose(values: Sequence[ir.Value], name: str | None, kind: str) -> ir.Value:
    names = [value.name or "" for value in values]
    if name is None and len(values) == 1:
        return values[0]
    if name in names:
        return values[names.index(name)]
    what = f"the model has {len(values)} {kind}s" if name is None else f"the model has no {kind} {name!r}"
    raise ModelError(what, hint=f"choose one with --{kind}-name NAME", choices=names)
