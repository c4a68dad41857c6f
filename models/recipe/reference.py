"""The reference for golden.py: how each model is fed and read, in plain numpy.

Pictures are uint8 arrays [height, width, 3], RGB. Points are (x, y) in pixels of the picture they belong to; the
centre of the top left pixel is (0, 0). Everything that depends on a model is read from its manifest.
"""

import math

import numpy as np


def resize(picture, width, height):
    """Plain bilinear: four neighbours, pixel centres aligned, edges repeated, no smoothing when shrinking."""
    source = picture.astype(np.float32)

    def taps(made, given):
        at = np.clip((np.arange(made) + 0.5) * given / made - 0.5, 0, given - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, given - 1), (at - low).astype(np.float32)

    top, bottom, down = taps(height, source.shape[0])
    left, right, across = taps(width, source.shape[1])
    down, across = down[:, None, None], across[None, :, None]
    upper = source[top][:, left] * (1 - across) + source[top][:, right] * across
    lower = source[bottom][:, left] * (1 - across) + source[bottom][:, right] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def tensor(picture, manifest):
    """A picture of the model's size as its input: colour order, normalisation, [1, channels, height, width]."""
    told = manifest["input"]
    if told["colour"] == "grey":
        planes = np.rint(picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))[None]
    else:
        planes = (picture if told["colour"] == "rgb" else picture[:, :, ::-1]).transpose(2, 0, 1)
    mean, scale = (np.array(told[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "scale"))
    return np.ascontiguousarray((planes.astype(np.float32) - mean) / scale)[None]


def numbered_tensor(shape, manifest):
    """The input that needs no picture: element i in flat order is (i * 7919) mod 256, then normalised."""
    told = manifest["input"]
    raw = (np.arange(math.prod(shape)) * 7919 % 256).astype(np.float32).reshape(shape)
    mean, scale = (np.array(told[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "scale"))
    return (raw - mean) / scale


def letterbox(picture, max_side, multiple_of):
    """Scale the longer side to max_side, pad right and bottom with zeros. Returns (picture, (scale x, scale y))."""
    height, width = picture.shape[:2]
    ratio = max_side / max(height, width)
    scaled_width, scaled_height = round(width * ratio), round(height * ratio)
    up = lambda side: math.ceil(side / multiple_of) * multiple_of  # noqa: E731
    padded = np.zeros((up(scaled_height), up(scaled_width), 3), np.uint8)
    same = (scaled_width, scaled_height) == (width, height)
    padded[:scaled_height, :scaled_width] = picture if same else resize(picture, scaled_width, scaled_height)
    return padded, (scaled_width / width, scaled_height / height)


def suppress(boxes, scores, most_overlap):
    """Greedy non-maximum suppression; the kept indices, best first."""
    order, kept = list(np.argsort(-scores, kind="stable")), []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order:
        best, order = order[0], np.array(order[1:], int)
        kept.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(boxes[best, :2], boxes[order, :2])
        shared = np.clip(sides, 0, None).prod(axis=1)
        order = list(order[shared / (areas[best] + areas[order] - shared) <= most_overlap])
    return kept


def decode_centerface(outputs, told, width, height):
    """Every cell of the heat map is a place 4 px wide that may be the centre of a face."""
    heat, scale, offset, marks = (output[0] for output in outputs)
    rows, columns = np.where(heat[0] > told["score_threshold"])
    tall, wide = np.exp(scale[0, rows, columns]) * 4, np.exp(scale[1, rows, columns]) * 4
    left = np.clip((columns + offset[1, rows, columns] + 0.5) * 4 - wide / 2, 0, width)
    top = np.clip((rows + offset[0, rows, columns] + 0.5) * 4 - tall / 2, 0, height)
    boxes = np.stack([left, top, np.minimum(left + wide, width), np.minimum(top + tall, height)], 1)
    points = np.stack([np.stack([marks[2 * j + 1, rows, columns] * wide + left,
                                 marks[2 * j, rows, columns] * tall + top], 1) for j in range(5)], 1)
    return boxes, heat[0, rows, columns], points


def decode_scrfd(outputs, told, width, height):
    """Two anchors a cell at three strides; distances are in strides from the cell's corner."""
    boxes, scores, points = [], [], []
    for k, stride in enumerate((8, 16, 32)):
        rows, columns = np.mgrid[: height // stride, : width // stride]
        centres = np.repeat(np.stack([columns, rows], -1).reshape(-1, 2) * stride, 2, axis=0).astype(np.float32)
        score, box, kps = outputs[k].reshape(-1), outputs[k + 3].reshape(-1, 4), outputs[k + 6].reshape(-1, 5, 2)
        good = np.where(score >= told["score_threshold"])[0]
        at = centres[good]
        boxes.append(np.hstack([at - box[good, :2] * stride, at + box[good, 2:] * stride]))
        scores.append(score[good])
        points.append(at[:, None] + kps[good] * stride)
    return np.vstack(boxes), np.hstack(scores), np.vstack(points)


def decode_ultralight(outputs, told, width, height):
    score = outputs[0][0, :, 1]
    good = np.where(score >= told["score_threshold"])[0]
    return outputs[1][0][good] * np.array([width, height, width, height], np.float32), score[good], None


DECODERS = {"centerface": decode_centerface, "scrfd": decode_scrfd, "ultralight": decode_ultralight}


def detect(session, manifest, picture, max_side=None):
    """Faces in the picture, best first: (box x1 y1 x2 y2, score, five points or None), and the size fed."""
    told = manifest["detector"]
    if told["fit"] == "letterbox":
        fed, ratio = letterbox(picture, max_side or told["max_side"], told["multiple_of"])
    else:
        width, height = manifest["input"]["size"]
        fed, ratio = resize(picture, width, height), (width / picture.shape[1], height / picture.shape[0])
    outputs = session.run(told["outputs"], {manifest["input"]["name"]: tensor(fed, manifest)})
    boxes, scores, points = DECODERS[told["decoder"]](outputs, told, fed.shape[1], fed.shape[0])
    boxes = boxes / np.array([*ratio, *ratio])
    kept = suppress(boxes, scores, told["nms_iou"])
    points = None if points is None else points / np.array(ratio)
    faces = [(boxes[k], float(scores[k]), None if points is None else points[k]) for k in kept]
    return faces, (fed.shape[1], fed.shape[0])


def window(box, scale, width, height):
    """A box scaled about its centre (less where the picture is too small), then shifted inside the picture."""
    x1, y1, x2, y2 = box
    scale = min((height - 1) / (y2 - y1), (width - 1) / (x2 - x1), scale)
    wide, tall = (x2 - x1) * scale, (y2 - y1) * scale
    left = min(max((x1 + x2) / 2 - wide / 2, 0), width - 1 - wide)
    top = min(max((y1 + y2) / 2 - tall / 2, 0), height - 1 - tall)
    return left, top, left + wide, top + tall


def landmarks(session, manifest, picture, box):
    """68 points. The box is cut to whole pixels and shifted inside the picture; its right and bottom are left out."""
    height, width = picture.shape[:2]
    left, top, right, bottom = window([int(v) for v in box], 1.0, width, height)
    left, top, wide, tall = int(left), int(top), int(right - left), int(bottom - top)
    crop = resize(picture[top : top + tall, left : left + wide], *manifest["input"]["size"])
    found = session.run([manifest["landmarks"]["output"]], {manifest["input"]["name"]: tensor(crop, manifest)})[0]
    return found.reshape(68, 2) * np.array([wide, tall]) + np.array([left, top])


def five_of(points, manifest):
    return np.stack([points[which].mean(axis=0) for which in manifest["landmarks"]["five_points"]])


def similarity_onto(points, template):
    """The least-squares turn, scale and shift that takes `points` onto `template`, as [[p, -q, x], [q, p, y]]."""
    points, template = np.asarray(points, np.float64), np.asarray(template, np.float64)
    a, b = points - points.mean(axis=0), template - template.mean(axis=0)
    size = (a * a).sum()
    p, q = (a * b).sum() / size, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / size
    turn = np.array([[p, -q], [q, p]])
    return np.hstack([turn, (template.mean(axis=0) - turn @ points.mean(axis=0))[:, None]])


def align(picture, points, manifest):
    """The face upright on the model's template: bilinear, black outside the picture."""
    width, height = manifest["input"]["size"]
    forward = similarity_onto(points, manifest["embedder"]["alignment"])
    back = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))[:2]
    rows, columns = np.mgrid[:height, :width]
    x, y = back @ np.stack([columns.ravel(), rows.ravel(), np.ones(width * height)])
    framed = np.pad(picture, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    x, y = np.clip(x + 1, 0, framed.shape[1] - 1), np.clip(y + 1, 0, framed.shape[0] - 1)
    left, top = np.minimum(x.astype(int), framed.shape[1] - 2), np.minimum(y.astype(int), framed.shape[0] - 2)
    across, down = (x - left)[:, None], (y - top)[:, None]
    upper = framed[top, left] * (1 - across) + framed[top, left + 1] * across
    lower = framed[top + 1, left] * (1 - across) + framed[top + 1, left + 1] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8).reshape(height, width, 3)


def embed(session, manifest, picture, points):
    told = manifest["embedder"]
    fed = tensor(align(picture, points, manifest), manifest)
    found = session.run([told["output"]], {manifest["input"]["name"]: fed})[0][0]
    return found / np.linalg.norm(found) if told["l2_normalise"] else found


def distance(one, other, manifest):
    if manifest["embedder"]["metric"] == "cosine":
        return float(1 - one @ other)
    return float(np.linalg.norm(one - other))


def live(session, manifest, picture, box):
    """The probability of the live class. The crop includes its right and bottom pixel."""
    told = manifest["liveness"]
    left, top, right, bottom = (int(v) for v in window(box, told["crop_scale"], picture.shape[1], picture.shape[0]))
    crop = resize(picture[top : bottom + 1, left : right + 1], *manifest["input"]["size"])
    logits = session.run([told["output"]], {manifest["input"]["name"]: tensor(crop, manifest)})[0][0]
    grown = np.exp(logits - logits.max())
    return float((grown / grown.sum())[told["live_index"]])
