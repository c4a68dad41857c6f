#!/usr/bin/env python3
"""Make Facewarden's model files from the registry packages their manifests name.

    models/prepare.py                     re-make the five models kept in this folder
    models/prepare.py --check             make them in memory and compare with the files here; writes nothing
    models/prepare.py --opt-in scrfd dlib make models that are not kept here, with their manifests

A manifest says where its model comes from (`source`) and which file the recipe must give (`sha256`); this
program refuses to write anything else. `--rewrite` puts the new checksum into the manifest instead: for a
changed recipe or another version of onnx, after the golden values have been checked.

Run `./setup --prepare-env` once before. npm is needed for all but centerface, scrfd and dlib.
"""

import argparse
import pathlib
import re
import sys

from recipe import fetch, rewrites  # first: it makes the packages below findable

import yaml

HERE = pathlib.Path(__file__).resolve().parent
KEPT = ("centerface", "ultralight", "landmark68", "faceplugin512", "liveness")
OPT_IN = ("scrfd", "mobilefacenet", "dlib")


def read_manifest(name):
    """The manifest of a model by name: its path and its contents."""
    path = HERE / f"{name}.yaml" if name in KEPT else HERE / "opt-in" / f"{name}.yaml"
    return path, yaml.safe_load(path.read_text())


def original_of(manifest, cache):
    source = manifest["source"]
    return fetch.read(source["package"], source["path"], source["sha256"], cache)


def make(name, arguments):
    """Return (the manifest's text, its contents, the bytes of the model)."""
    path, manifest = read_manifest(name)
    made = rewrites.BY_NAME[name](original_of(manifest, arguments.cache))
    text, digest = path.read_text(), fetch.sha256(made)
    if digest != manifest["sha256"]:
        if not arguments.rewrite:
            raise fetch.FetchError(
                f"{name}: the recipe gave SHA-256 {digest}, the manifest wants {manifest['sha256']}; "
                "use the versions of models/requirements.txt, or see --rewrite")
        text = re.sub(r"^sha256: .*$", f"sha256: {digest}", text, count=1, flags=re.MULTILINE)
        path.write_text(text)
    return text, manifest, made


def write_whole(path, data):
    """Write to a neighbour first, so that a stopped run leaves no half file under the name."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def make_kept(arguments):
    wrong = 0
    for name in KEPT:
        _, manifest, made = make(name, arguments)
        target = HERE / manifest["file"]
        if arguments.check:
            same = target.exists() and target.read_bytes() == made
            wrong += not same
            print(f"{name}: {'same' if same else 'DIFFERENT from the file here'}")
        else:
            write_whole(target, made)
            print(f"{name}: {target.name}, {len(made):,} bytes")
    return 1 if wrong else 0


def make_opt_in(arguments):
    out = pathlib.Path(arguments.out).expanduser()
    out.mkdir(parents=True, exist_ok=True)
    for name in arguments.opt_in:
        text, manifest, made = make(name, arguments)
        write_whole(out / manifest["file"], made)
        write_whole(out / f"{name}.yaml", text.encode())
        print(f"{name}: {out / manifest['file']}, {len(made):,} bytes")
        print(f"  licence: {manifest['licence']}. {' '.join(manifest['notes'].split())}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Make Facewarden's model files from registry packages.")
    parser.add_argument("--check", action="store_true", help="compare with the files here, write nothing")
    parser.add_argument("--opt-in", nargs="+", choices=OPT_IN, metavar="NAME",
                        help=f"make models that are not kept here: {', '.join(OPT_IN)}")
    parser.add_argument("--out", default="~/.local/share/facewarden/models", metavar="DIR",
                        help="where opt-in models go (default: %(default)s)")
    parser.add_argument("--cache", default=str(HERE.parent / "vendor" / "packages"), metavar="DIR",
                        help="where downloaded packages are kept")
    parser.add_argument("--rewrite", action="store_true", help="accept a new checksum into the manifest")
    arguments = parser.parse_args()
    if arguments.check and arguments.rewrite:
        parser.error("--check writes nothing, so it cannot --rewrite")
    try:
        return make_opt_in(arguments) if arguments.opt_in else make_kept(arguments)
    except (fetch.FetchError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
