"""Give a model that was exported with a batch of 1 a free batch.

Exporters bake the 1 into the shapes of Reshape: before, ``Reshape(x, [1, 256])``; after,
``Reshape(x, [-1, 256])``, or ``[0, -1]`` (0 copies the input's batch) where −1 is taken. This is a guess
about what the 1 meant. The exporter proves it afterwards: each row of a batch must equal the same row run
alone, or nothing is packaged.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import constant_array


def free_batch(graph: ir.Graph) -> int:
    """Free the batch in every Reshape whose constant target starts with 1; return how many changed."""
    changed = 0
    for node in graph:
        if node.op_type != "Reshape" or node.domain != "":
            continue
        shape = constant_array(node.inputs[1])
        if shape is None or len(shape) < 2 or shape[0] != 1:
            continue
        free = shape.copy()
        free[0] = 0 if -1 in shape[1:] else -1
        value = ir.Value(
            name=f"{node.name or node.outputs[0].name}/free_batch",
            shape=ir.Shape(free.shape),
            type=ir.TensorType(ir.DataType.INT64),
            const_value=ir.tensor(free.astype(np.int64)),
        )
        graph.register_initializer(value)
        node.replace_input_with(1, value)
        changed += 1
    return changed
