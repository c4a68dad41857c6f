"""Small rewrites of ONNX graphs. None of them changes what a model computes beyond float rounding."""

import numpy as np
from onnx import helper, numpy_helper


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def add_constant(model, name, value):
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name


def replace_prelu(model):
    """Write every PRelu(x, s) as s*x + (1-s)*Relu(x).

    ONNX Runtime 1.27 and later run PRelu several times slower than these three plain operators.
    """
    slopes = constants(model)
    nodes = []
    for node in model.graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        x, y = node.input[0], node.output[0]
        slope = slopes[node.input[1]].astype(np.float32)
        slope_name = add_constant(model, f"{y}.slope", slope)
        rest_name = add_constant(model, f"{y}.one_less_slope", np.float32(1) - slope)
        nodes += [
            helper.make_node("Relu", [x], [f"{y}.positive"]),
            helper.make_node("Mul", [x, slope_name], [f"{y}.sloped"]),
            helper.make_node("Mul", [f"{y}.positive", rest_name], [f"{y}.topped_up"]),
            helper.make_node("Add", [f"{y}.sloped", f"{y}.topped_up"], [y]),
        ]
    replace_nodes(model, nodes)


def replace_nodes(model, nodes):
    """Put `nodes` in place of the graph's nodes and drop the constants that nothing reads any more."""
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    drop_unused_constants(model)


def drop_unused_constants(model):
    graph = model.graph
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def zero_tiny_weights(model, below=1e-15):
    """Set weights too small to matter to zero.

    Channels that died in training leave weights around 1e-30 and denormal numbers, and products that are denormal
    too. Processors handle denormals in microcode: faceplugin512 takes 14 times as long with them as without.
    """
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and np.any(tiny := (values != 0) & (np.abs(values) < below)):
            tensor.CopyFrom(numpy_helper.from_array(np.where(tiny, np.float32(0), values), tensor.name))


def keep_constants_out_of_inputs(model):
    """Old exporters list each weight as an input too; the runtime then cannot fold it and warns at every load."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(kept)


def set_dims(value, dims):
    """Give a graph input or output the shape `dims`: a number is fixed, a word is a free dimension."""
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for dim in dims:
        entry = shape.dim.add()
        if isinstance(dim, str):
            entry.dim_param = dim
        else:
            entry.dim_value = dim


def free_batch(model):
    """Let any number of images go through in one call: the first dimension of every input and output becomes N."""
    for value in [*model.graph.input, *model.graph.output]:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        set_dims(value, ["N", *dims[1:]])
    # Shapes inferred for one image would now be wrong.
    del model.graph.value_info[:]
