"""What is done to each model: its original file's bytes in, the bytes of the ONNX file used here out."""

import numpy as np
import onnx

from . import dlib, graph, tflite_import


def _save(model):
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def unchanged(original):
    return original


def centerface(original):
    """The published file is fixed to ten 32x32 images; the network itself takes any size that is a multiple of 32."""
    model = onnx.load_from_string(original)
    graph.keep_constants_out_of_inputs(model)
    graph.drop_unused_constants(model)
    graph.set_dims(model.graph.input[0], ["N", 3, "H", "W"])
    for output, channels in zip(model.graph.output, (1, 2, 2, 10), strict=True):
        graph.set_dims(output, ["N", channels, "H_4", "W_4"])
    return _save(model)


def landmark68(original):
    model = onnx.load_from_string(original)
    graph.zero_tiny_weights(model)
    graph.free_batch(model)
    return _save(model)


def faceplugin512(original):
    model = onnx.load_from_string(original)
    graph.zero_tiny_weights(model)
    graph.replace_prelu(model)
    # The last step flattens to the constant shape (1, -1), which would join the images of a batch.
    flatten = next(node for node in model.graph.node if node.op_type == "Reshape")
    flatten.input[1] = graph.add_constant(model, "one_row_an_image", np.array([-1, 512], np.int64))
    graph.drop_unused_constants(model)
    graph.free_batch(model)
    return _save(model)


def liveness(original):
    model = onnx.load_from_string(original)
    graph.replace_prelu(model)
    graph.free_batch(model)
    return _save(model)


def scrfd(original):
    """The published file is fixed to 640x640 by two Resize nodes; doubling says the same for every size."""
    model = onnx.load_from_string(original)
    doubled = graph.add_constant(model, "doubled", np.array([1, 1, 2, 2], np.float32))
    for node in model.graph.node:
        if node.op_type == "Resize":
            node.input[:] = [node.input[0], node.input[1], doubled]
    graph.drop_unused_constants(model)
    graph.set_dims(model.graph.input[0], [1, 3, "H", "W"])
    for output in model.graph.output:
        kind, stride = output.name.split("_")
        graph.set_dims(output, [1, f"anchors_{stride}", {"score": 1, "bbox": 4, "kps": 10}[kind]])
    del model.graph.value_info[:]
    return _save(model)


def mobilefacenet(original):
    model = tflite_import.convert(original)
    graph.replace_prelu(model)
    return _save(model)


def dlib_resnet(original):
    return _save(dlib.convert(original))


BY_NAME = {
    "centerface": centerface,
    "ultralight": unchanged,
    "landmark68": landmark68,
    "faceplugin512": faceplugin512,
    "liveness": liveness,
    "scrfd": scrfd,
    "mobilefacenet": mobilefacenet,
    "dlib": dlib_resnet,
}
