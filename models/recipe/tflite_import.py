"""Convert a small float TensorFlow Lite face network (MobileFaceNet) to ONNX.

Only the operators of that file are known; anything else is an error, never a guess. Maps are channel-last in
TensorFlow Lite and channel-first in ONNX, so weights and per-channel constants are transposed. The exporter
wrote PReLU out as Relu(x) + a*(x - |x|)/2; that pattern becomes one PRelu node again.
"""

import numpy as np
import tflite
from onnx import TensorProto, helper, numpy_helper

DTYPES = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16,
          tflite.TensorType.INT32: np.int32, tflite.TensorType.INT64: np.int64}
ARITHMETIC = {tflite.BuiltinOperator.ADD: ("Add", tflite.AddOptions),
              tflite.BuiltinOperator.SUB: ("Sub", tflite.SubOptions),
              tflite.BuiltinOperator.MUL: ("Mul", tflite.MulOptions)}
UNARY = {tflite.BuiltinOperator.ABS: "Abs", tflite.BuiltinOperator.RELU: "Relu"}


class _Importer:
    def __init__(self, data):
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes = []
        self.constants = {}
        self.source, self.target = self.graph.Inputs(0), self.graph.Outputs(0)

    def shape(self, index):
        tensor = self.graph.Tensors(index)
        return [int(dim) for dim in tensor.ShapeAsNumpy()] if tensor.ShapeLength() else []

    def values(self, index):
        """The constant behind a tensor as float32, or None where it is computed."""
        tensor = self.graph.Tensors(index)
        buffer = self.model.Buffers(tensor.Buffer())
        if buffer.DataLength() == 0:
            return None
        raw = np.frombuffer(buffer.DataAsNumpy().tobytes(), DTYPES[tensor.Type()])
        return raw.reshape(self.shape(index)).astype(np.float32)

    def name(self, index):
        return {self.source: "input", self.target: "embedding"}.get(index, f"t{index}")

    def constant(self, name, values):
        self.constants[name] = np.ascontiguousarray(values, dtype=np.float32)
        return name

    def operand(self, index, rank):
        values = self.values(index)
        if values is None:
            return self.name(index)
        if rank == 4 and values.ndim == 1:
            values = values.reshape(-1, 1, 1)
        elif rank == 4 and values.ndim == 3:
            values = values.transpose(2, 0, 1)
        elif values.ndim == 4:
            values = values.transpose(0, 3, 1, 2)
        return self.constant(f"c{index}", values)

    def emit(self, kind, inputs, output, activation=0, **attributes):
        if activation == tflite.ActivationFunctionType.RELU:
            self.nodes.append(helper.make_node(kind, inputs, [output + ".before_relu"], **attributes))
            self.nodes.append(helper.make_node("Relu", [output + ".before_relu"], [output]))
        elif activation == tflite.ActivationFunctionType.NONE:
            self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        else:
            raise ValueError(f"fused activation {activation} is not known here")

    def convolution(self, inputs, output, options, depthwise):
        weights = self.values(inputs[1])
        # Full: [out, h, w, in]. Depthwise: [1, h, w, channels].
        weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        sides = weights.shape[2:]
        strides = (options.StrideH(), options.StrideW())
        before, after = [0, 0], [0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for axis in (0, 1):
                given, made = self.shape(inputs[0])[axis + 1], self.shape(output)[axis + 1]
                total = max((made - 1) * strides[axis] + sides[axis] - given, 0)
                before[axis], after[axis] = total // 2, total - total // 2
        names = [self.name(inputs[0]), self.constant(f"w{output}", weights)]
        if len(inputs) > 2 and inputs[2] >= 0:
            names.append(self.constant(f"b{output}", self.values(inputs[2])))
        self.emit("Conv", names, self.name(output), options.FusedActivationFunction(),
                  kernel_shape=list(sides), strides=list(strides), pads=before + after,
                  group=weights.shape[0] if depthwise else 1)

    def operator(self, op):
        code = self.model.OperatorCodes(op.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        inputs, output = [int(i) for i in op.InputsAsNumpy()], int(op.OutputsAsNumpy()[0])

        def options(which):
            table = which()
            table.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
            return table

        if kind == tflite.BuiltinOperator.CONV_2D:
            self.convolution(inputs, output, options(tflite.Conv2DOptions), depthwise=False)
        elif kind == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
            self.convolution(inputs, output, options(tflite.DepthwiseConv2DOptions), depthwise=True)
        elif kind in ARITHMETIC:
            onnx_kind, which = ARITHMETIC[kind]
            rank = len(self.shape(output))
            self.emit(onnx_kind, [self.operand(i, rank) for i in inputs], self.name(output),
                      options(which).FusedActivationFunction())
        elif kind in UNARY:
            self.emit(UNARY[kind], [self.name(inputs[0])], self.name(output))
        elif kind == tflite.BuiltinOperator.RESHAPE:
            shape = self.shape(inputs[0])
            if len(shape) == 4 and shape[1:3] != [1, 1]:
                raise ValueError(f"a reshape of {shape} would mix channels and places")
            self.emit("Flatten", [self.name(inputs[0])], self.name(output), axis=1)
        else:
            raise ValueError(f"operator {kind} is not known here")


def _fold_prelu(nodes, constants):
    """Turn each Relu(x) + k*(x - |x|) into PRelu(x, 2k), k being the product of the constants on the way."""
    made_by = {node.output[0]: node for node in nodes}
    folded = set()

    def half_below_zero(name, x):
        """If `name` computes k*(x - |x|), return (k, the nodes that do); else None."""
        node = made_by.get(name)
        if node is None:
            return None
        if node.op_type == "Sub" and node.input[0] == x:
            absolute = made_by.get(node.input[1])
            if absolute is not None and absolute.op_type == "Abs" and absolute.input[0] == x:
                return np.float32(1), [node, absolute]
        if node.op_type == "Mul":
            for constant, other in (node.input, reversed(node.input)):
                inner = half_below_zero(other, x) if constant in constants else None
                if inner is not None:
                    return constants[constant] * inner[0], [node, *inner[1]]
        return None

    for node in nodes:
        if node.op_type != "Add":
            continue
        for upper, lower in (tuple(node.input), tuple(reversed(node.input))):
            relu = made_by.get(upper)
            if relu is None or relu.op_type != "Relu":
                continue
            found = half_below_zero(lower, relu.input[0])
            if found is None:
                continue
            slope, parts = 2 * found[0], found[1]
            slope_name = node.output[0] + ".prelu"
            constants[slope_name] = slope.astype(np.float32)
            folded.update(part.output[0] for part in [relu, *parts])
            node.CopyFrom(helper.make_node("PRelu", [relu.input[0], slope_name], [node.output[0]]))
            break
    return [node for node in nodes if node.output[0] not in folded]


def convert(data):
    """The bytes of the .tflite file in, an ONNX model with a free batch dimension out."""
    importer = _Importer(data)
    for k in range(importer.graph.OperatorsLength()):
        importer.operator(importer.graph.Operators(k))
    nodes = _fold_prelu(importer.nodes, importer.constants)
    read = {name for node in nodes for name in node.input}
    weights = [numpy_helper.from_array(v, name) for name, v in importer.constants.items() if name in read]

    _, height, width, channels = importer.shape(importer.source)
    graph = helper.make_graph(
        nodes, "mobilefacenet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", channels, height, width])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", importer.shape(importer.target)[-1]])],
        weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
