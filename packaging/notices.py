#!/usr/bin/env python3
"""Prints the licences of all crates that the program is linked with, from their sources as cargo has fetched them.

usage: notices.py TARGET      for example x86_64-unknown-linux-gnu
"""

import json
import pathlib
import re
import subprocess
import sys

LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def is_licence(path):
    return LICENCE_FILE.match(path.name) and path.suffix not in (".rs", ".toml")


def linked(metadata):
    """The packages that end up in the program: no build scripts, no procedural macros, no tests."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, todo = set(), [root]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if any("proc-macro" in target["kind"] for target in packages[name]["targets"]):
            continue
        for dependency in nodes[name]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    seen.discard(root)
    return sorted((packages[name] for name in seen), key=lambda package: (package["name"], package["version"]))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", sys.argv[1]]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print("The program facewarden is linked with these crates. Each is followed by what its package says of its licence.")
    for package in linked(metadata):
        folder = pathlib.Path(package["manifest_path"]).parent
        print(f"\n{'=' * 78}\n{package['name']} {package['version']}: {package['license'] or 'see below'}")
        if package["authors"]:
            print("by " + ", ".join(package["authors"]))
        if package["repository"]:
            print(package["repository"])
        texts = [path for path in sorted(folder.iterdir()) if path.is_file() and is_licence(path)]
        for path in texts:
            print(f"\n--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace').strip()}")
        if not texts:
            print("The package holds no text of it. See /usr/share/common-licenses/Apache-2.0, and for MIT the file copyright here.")


main()
