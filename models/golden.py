#!/usr/bin/env python3
"""Measure models/golden.yaml: numbers another implementation must reach.

    python3 models/golden.py            measure and write
    python3 models/golden.py --check    measure and compare, to within 1e-3 (pictures: 0.02)

They come from the ORIGINAL files of the packages, run by ONNX Runtime on one thread. Three cases cannot be: the
originals of mobilefacenet and dlib are not ONNX, so their converted files are measured, and where centerface
and scrfd are fed at sizes their originals are not fixed to, the file with free sizes is.
"""

import argparse
import pathlib
import sys

from recipe import reference, rewrites  # first: it makes the packages below findable
import prepare

import numpy as np
import onnxruntime
import yaml
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden.yaml"
PICTURES = HERE.parent / "tests" / "pictures"

# The shape of each model's numbered tensor; 64x96 for the two whose size is free.
SHAPES = {
    "centerface": [1, 3, 64, 96], "scrfd": [1, 3, 64, 96], "ultralight": [1, 3, 240, 320],
    "landmark68": [1, 1, 64, 64], "liveness": [1, 3, 128, 128],
    "faceplugin512": [1, 3, 112, 112], "mobilefacenet": [1, 3, 112, 112], "dlib": [1, 3, 150, 150],
}
# Models whose original is not ONNX or is fixed to another size than measured here.
NEEDS_MADE = ("centerface", "scrfd", "mobilefacenet", "dlib")
# (picture, max_side). 512 and 1137 are the pictures' own longer sides: nothing is scaled, only padded.
DETECTIONS = [("astronaut.png", 512), ("obama.jpg", 1137), ("obama.jpg", 640), ("solvay1927.jpg", 640), ("cat.jpg", 451)]
FACES = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png", "gauss.jpg")

HEADER = """\
# Golden values, measured by models/golden.py from the packages' original files: do not edit by hand.
#
# tensors: element i of the input in flat order is (i * 7919) mod 256, then (value - mean) / scale of the manifest.
#   `first` are the first numbers of the raw output in flat order, `l2` is the length of the whole output.
# detections: faces with the manifest's thresholds, best first, at the size `fed`; boxes are x1 y1 x2 y2 and points
#   x y in pixels of the picture. `count` is the number of all faces, at most three are listed.
# faces: the best face of centerface with the longer side scaled to 640, then everything that follows from that box and those
#   points: landmark68's points in the same box, p_live, and the first numbers of each embedding (cosine models
#   after normalisation).
# pairs: distance in each embedder's own metric.
"""


def session(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def rounded(values, digits):
    return [round(float(v), digits) for v in np.asarray(values).ravel()]


def load(cache):
    """Name -> (session, manifest) for every model."""
    models = {}
    for name in prepare.KEPT + prepare.OPT_IN:
        _, manifest = prepare.read_manifest(name)
        original = prepare.original_of(manifest, cache)
        models[name] = session(rewrites.BY_NAME[name](original) if name in NEEDS_MADE else original), manifest
    return models


def tensors(models):
    for name, shape in SHAPES.items():
        run, manifest = models[name]
        names = [output.name for output in run.get_outputs()]
        made = run.run(names, {manifest["input"]["name"]: reference.numbered_tensor(shape, manifest)})
        yield {"model": name, "shape": shape,
               "outputs": [{"name": n, "shape": list(v.shape), "first": rounded(v.ravel()[:8], 6),
                            "l2": round(float(np.linalg.norm(v)), 5)} for n, v in zip(names, made)]}


def picture(name):
    return np.asarray(Image.open(PICTURES / name).convert("RGB"))


def described(face):
    box, score, points = face
    found = {"score": round(score, 4), "box": rounded(box, 2)}
    return found if points is None else found | {"points": [rounded(p, 2) for p in points]}


def detections(models):
    for name in ("centerface", "ultralight", "scrfd"):
        run, manifest = models[name]
        letterboxed = manifest["detector"]["fit"] == "letterbox"
        seen = set()
        for file, max_side in DETECTIONS:
            if not letterboxed and file in seen:
                continue
            seen.add(file)
            faces, fed = reference.detect(run, manifest, picture(file), max_side)
            size = {"max_side": max_side} if letterboxed else {}
            yield {"model": name, "picture": file, **size, "fed": list(fed), "count": len(faces),
                   "faces": [described(face) for face in faces[:3]]}


def faces(models, embeddings):
    """The chain from picture to embedding; fills `embeddings` with (model, picture) -> vector for `pairs`."""
    run, manifest = models["centerface"]
    for file in FACES:
        image = picture(file)
        found, _ = reference.detect(run, manifest, image)
        box, _, points = found[0]
        all68 = reference.landmarks(*models["landmark68"], image, box)
        entry = {"picture": file, **described(found[0]),
                 "landmark68": {"points_0_8_30_57": [rounded(all68[k], 2) for k in (0, 8, 30, 57)],
                                "five": [rounded(p, 2) for p in reference.five_of(all68, models["landmark68"][1])]},
                 "p_live": round(reference.live(*models["liveness"], image, box), 4), "embeddings": {}}
        for name in ("faceplugin512", "mobilefacenet", "dlib"):
            vector = reference.embed(*models[name], image, points)
            embeddings[name, file] = vector
            entry["embeddings"][name] = rounded(vector[:8], 5)
        yield entry


def pairs(models, embeddings):
    for k, one in enumerate(FACES):
        for other in FACES[k + 1 :]:
            yield {"pictures": [one, other],
                   "distance": {name: round(reference.distance(embeddings[name, one], embeddings[name, other],
                                                               models[name][1]), 4)
                                for name in ("faceplugin512", "mobilefacenet", "dlib")}}


def differences(path, here, there, tolerance):
    """Yield where two measurements differ by more than `tolerance` (relative above 1)."""
    if isinstance(here, dict) and isinstance(there, dict) and here.keys() == there.keys():
        for key in here:
            yield from differences(f"{path}.{key}", here[key], there[key], tolerance)
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for k, (a, b) in enumerate(zip(here, there)):
            yield from differences(f"{path}[{k}]", a, b, tolerance)
    elif isinstance(here, (int, float)) and isinstance(there, (int, float)):
        if abs(here - there) > tolerance * max(1, abs(here)):
            yield f"{path}: {here} here, {there} measured"
    elif here != there:
        yield f"{path}: {here} here, {there} measured"


def main():
    parser = argparse.ArgumentParser(description="Measure models/golden.yaml.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    parser.add_argument("--cache", default=str(HERE.parent / "vendor" / "packages"), metavar="DIR",
                        help="where downloaded packages are kept")
    arguments = parser.parse_args()

    models, embeddings = load(arguments.cache), {}
    measured = {"schema": 1, "measured_with": f"ONNX Runtime {onnxruntime.__version__}, CPU, one thread",
                "tensors": list(tensors(models)), "detections": list(detections(models)),
                "faces": list(faces(models, embeddings)), "pairs": list(pairs(models, embeddings))}
    if not arguments.check:
        body = yaml.safe_dump(measured, sort_keys=False, width=116, default_flow_style=None)
        GOLDEN.write_text(HEADER + body)
        print(f"wrote {GOLDEN.name}")
        return 0
    kept = yaml.safe_load(GOLDEN.read_text())
    wrong = []
    for part in ("tensors", "detections", "faces", "pairs"):
        wrong += differences(part, kept[part], measured[part], 1e-3 if part == "tensors" else 0.02)
    print("\n".join(wrong) or "the same")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
