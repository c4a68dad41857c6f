"""Convert dlib's face recognition network (dlib_face_recognition_resnet_model_v1.dat) to ONNX.

The file holds the layers from the input to the output. Each layer with weights starts with its name as a dlib
string, followed (for a fully connected layer after two counts) by its parameters as a dlib tensor. The layout
of the network itself is not read: it is dlib's published one, written out in `convert`, and every count of
parameters must fit it.

Input: RGB 0..255, [N, 3, 150, 150]. Output: 128 numbers a face, compared by Euclidean distance.
"""

import re

import numpy as np
from onnx import TensorProto, helper, numpy_helper

MEAN_RGB = (122.782, 117.001, 104.298)
SIDE_PX = 150

# A dlib string is its length as a dlib integer (one byte that says "one byte follows", then that byte), then the text.
LAYER_NAME = re.compile(rb"\x01([\x03-\x0a])((?:con|affine|fc)_\d?)")


def _integer(data, at):
    """dlib integers: the low four bits of the first byte count the bytes that follow, its top bit is the sign."""
    head = data[at]
    count = head & 0x0F
    value = int.from_bytes(data[at + 1 : at + 1 + count], "little")
    return (-value if head & 0x80 else value), at + 1 + count


def _tensor(data, at):
    """A tensor: version, four dimensions, then 32-bit floats. Returns the floats and where they end."""
    version, at = _integer(data, at)
    if version != 2:
        raise ValueError(f"dlib tensor of version {version} at byte {at}")
    size = 1
    for _ in range(4):
        dim, at = _integer(data, at)
        size *= dim
    return np.frombuffer(data, "<f4", size, at).copy(), at + 4 * size


def _parameters(data):
    """Yield (kind of layer, parameters) in the order of the file."""
    at = 0
    while found := LAYER_NAME.search(data, at):
        name = found.group(2)
        if found.group(1)[0] != len(name):
            at = found.start() + 1
            continue
        start = found.end()
        if name.startswith(b"fc"):
            _, start = _integer(data, start)  # outputs
            _, start = _integer(data, start)  # inputs
        values, at = _tensor(data, start)
        yield name.decode().split("_")[0], values


class _Builder:
    """Appends layers to an ONNX graph, taking their parameters from the file in turn."""

    def __init__(self, data):
        self.parameters = _parameters(data)
        self.nodes = []
        self.constants = []

    def take(self, kind, size):
        found, values = next(self.parameters)
        if (found, values.size) != (kind, size):
            raise ValueError(f"expected {kind} with {size} parameters, found {found} with {values.size}")
        return values

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind, inputs, output=None, **attributes):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(self, x, channels_in, channels, side, stride):
        """A convolution and the affine layer after it, folded into one. Only those of stride 1 are padded."""
        weights_size = channels * channels_in * side * side
        values = self.take("con", weights_size + channels)
        gain, offset = self.take("affine", 2 * channels).reshape(2, channels)
        weights = values[:weights_size].reshape(channels, channels_in, side, side) * gain[:, None, None, None]
        bias = values[weights_size:] * gain + offset
        pad = side // 2 if stride == 1 else 0
        return self.node("Conv", [x, self.constant(weights), self.constant(bias)],
                         kernel_shape=[side, side], strides=[stride, stride], pads=[pad] * 4)

    def relu(self, x):
        return self.node("Relu", [x])

    def block(self, x, channels_in, channels, stride):
        inner = self.relu(self.convolution(x, channels_in, channels, 3, stride))
        return self.convolution(inner, channels, channels, 3, 1)

    def residual(self, x, channels):
        return self.relu(self.node("Add", [x, self.block(x, channels, channels, 1)]))

    def residual_down(self, x, channels_in, channels, side):
        """Halves the picture. dlib adds maps of unequal size by padding the smaller with zeros. Returns (map, side)."""
        deep = self.block(x, channels_in, channels, 2)
        deep_side = (side - 3) // 2 + 1
        short = self.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
        short_side = (side - 2) // 2 + 1
        larger = max(deep_side, short_side)
        deep = self.padded(deep, 0, larger - deep_side)
        short = self.padded(short, channels - channels_in, larger - short_side)
        return self.relu(self.node("Add", [short, deep])), larger

    def padded(self, x, channels, pixels):
        if channels == 0 and pixels == 0:
            return x
        after = np.array([0, 0, 0, 0, 0, channels, pixels, pixels], np.int64)
        return self.node("Pad", [x, self.constant(after)], mode="constant")


def convert(data):
    """The bytes of the .dat file in, an ONNX model out."""
    b = _Builder(data)
    mean = np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1)
    x = b.node("Sub", ["input", b.constant(mean)])
    x = b.node("Mul", [x, b.constant(np.array(1 / 256, np.float32))])
    x = b.relu(b.convolution(x, 3, 32, 7, 2))
    x = b.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2])
    side = ((SIDE_PX - 7) // 2 + 1 - 3) // 2 + 1

    for _ in range(3):
        x = b.residual(x, 32)
    for channels_in, channels, repeats in ((32, 64, 3), (64, 128, 2), (128, 256, 2), (256, 256, 0)):
        x, side = b.residual_down(x, channels_in, channels, side)
        for _ in range(repeats):
            x = b.residual(x, channels)

    x = b.node("Flatten", [b.node("GlobalAveragePool", [x])], axis=1)
    b.node("MatMul", [x, b.constant(b.take("fc", 256 * 128).reshape(256, 128))], "embedding")
    if next(b.parameters, None) is not None:
        raise ValueError("layers are left over: this is not the network expected here")

    graph = helper.make_graph(
        b.nodes, "dlib_face_recognition",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 128])],
        b.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
