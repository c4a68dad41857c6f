#!/usr/bin/env python3
"""Fetch the test pictures from the registry packages named in SOURCES.md.

    python3 tests/pictures/collect.py

Pictures taken as they are come out byte for byte; the ones made smaller may differ with the version of Pillow.
"""

import io
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "models"))

from recipe import fetch  # noqa: E402  (needs the path above, and makes the package below findable)

from PIL import Image  # noqa: E402

FACES = ("PyPI face-recognition 1.3.0", "face_recognition-1.3.0/tests/test_images/")
SKIMAGE = ("PyPI scikit-image 0.26.0", "skimage/data/")
SCRFD = ("PyPI scrfd 0.3.0", "scrfd-0.3.0/images/")

# Picture here -> (package and folder, file there, SHA-256 there, longest side here; None: the file as it is).
PICTURES = {
    "obama.jpg": (FACES, "obama.jpg",
        "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6", None),
    "obama2.jpg": (FACES, "obama2.jpg",
        "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6", None),
    "obama3.jpg": (FACES, "obama3.jpg",
        "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3", 1280),
    "obama_partial_face.jpg": (FACES, "obama_partial_face.jpg",
        "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117", 640),
    "biden.jpg": (FACES, "biden.jpg",
        "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c", None),
    "astronaut.png": (SKIMAGE, "astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", None),
    "cat.jpg": (SKIMAGE, "chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb", 451),
    "gauss.jpg": (SCRFD, "gauss.png",
        "0ecd92b4e17755deedabd46f416558c15abf06f6385d50be4486d45987c95f9e", 800),
    "solvay1927.jpg": (SCRFD, "solvay_conference_1927.jpg",
        "ae76a5be54f53cca50074a0d1ac8653187154d264fc58ed928e1b92c27e17e2a", 1600),
}


def smaller(data, longest_side):
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def for_print(path):
    """The upper body on the photo at `path` as CMYK."""
    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    picture = picture.crop((width // 4, 0, width * 3 // 4 + 100, height // 2))
    picture.thumbnail((480, 480), Image.Resampling.LANCZOS)
    picture.convert("CMYK").save(HERE / "obama_cmyk.jpg", "JPEG", quality=80)


def main():
    for name, ((package, folder), path, digest, longest_side) in PICTURES.items():
        data = fetch.read(package, folder + path, digest, ROOT / "vendor" / "packages")
        (HERE / name).write_bytes(data if longest_side is None else smaller(data, longest_side))
        print(name)
    for_print(HERE / "obama3.jpg")
    print("obama_cmyk.jpg")


if __name__ == "__main__":
    main()
