"""How many pairs of photos a second are compared over HTTP: this server and DeepFace's own, with the same pictures, the same
requests and the same clients, in turn.

    http_verify.py PROGRAM [SECONDS]

DeepFace is run as its own container runs it (gunicorn, one worker), and with two workers, one for each core; this server
likewise. DeepFace gets the weights that a package registry has for it: dlib's, with dlib's detector, and with CenterFace. This
server runs as it comes, and with the very same weights as DeepFace in its second way: CenterFace and dlib. Needs what
`./setup --deepface` fetches. Prints a line of JSON for each run; pairs are told right or wrong by the names of the pictures.
"""

import base64
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from served import daemon, started

PICTURES = ROOT / "tests" / "pictures"
PEER = ROOT / "vendor" / "deepface"
WEIGHTS = {
    "dlib_face_recognition_resnet_model_v1.dat": "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
FFMPEG = os.environ.get("FACEWARDEN_FFMPEG", str(ROOT / "vendor" / "ffmpeg"))
CLIENTS = 4
PAIRS = list(itertools.combinations(("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"), 2))


def person(name):
    return re.match(r"[a-z]+", name)[0]


def bodies(more):
    """The requests, and whether each is of one person."""
    as_text = {name: "data:image/jpeg;base64," + base64.b64encode((PICTURES / name).read_bytes()).decode() for name in sum(PAIRS, ())}
    return [(json.dumps({"img1": as_text[one], "img2": as_text[other], **more}).encode(), person(one) == person(other)) for one, other in PAIRS]


def ask(url, token, body):
    request = urllib.request.Request(url + "/verify", data=body, headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["verified"]


def memory_mb(pid):
    """The memory that a process and its children have of their own or share, as it stands."""
    pids = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    total = 0
    for one in [str(pid), *pids]:
        with contextlib.suppress(OSError):
            total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])
    return total // 1024


def measure(who, url, token, pid, more, seconds):
    todo = itertools.cycle(bodies(more))
    lock = threading.Lock()

    def client(until):
        took, wrong = [], 0
        while time.monotonic() < until:
            with lock:
                body, is_same = next(todo)
            began = time.monotonic()
            wrong += ask(url, token, body) != is_same
            took.append(time.monotonic() - began)
        return took, wrong

    for body, _ in bodies(more):
        ask(url, token, body)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        done = list(clients.map(lambda _: client(began + seconds), range(CLIENTS)))
    elapsed = time.monotonic() - began
    took = sorted(sum((took for took, _ in done), []))
    print(json.dumps({
        **who, "pairs_per_second": round(len(took) / elapsed, 2), "p50_ms": round(took[len(took) // 2] * 1000),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000), "pairs": len(took), "wrong": sum(wrong for _, wrong in done), "memory_mb": memory_mb(pid),
    }), flush=True)


def own(program, folder, model, workers, seconds):
    camera = f'source: "{folder}/nobody", fps: 1, loops: 100000'
    more = f'models: {{ folder: "{folder}/models", embedder: {model} }}\ndecision: {{ min_similarity: 0.9 }}'
    with daemon(program, folder, camera, "verify", 100000, f", verify: {{ workers: {workers} }}", more) as (process, url, token):
        measure({"server": "facewarden", "workers": workers, "detector": "centerface", "model": model}, url, token, process.pid, {}, seconds)


def peer(folder, detector, workers, seconds):
    environment = {**os.environ, "PYTHONPATH": str(PEER), "DEEPFACE_HOME": str(folder), "DEEPFACE_LOG_LEVEL": "50", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "gunicorn", f"--workers={workers}", "--timeout=7200", "--bind=127.0.0.1:0", "deepface.api.src.app:create_app()"]
    with started(command, folder / "peer.log", r"Listening at: (\S+)", env=environment, cwd=folder) as (process, url):
        more = {"model_name": "Dlib", "detector_backend": detector}
        measure({"server": "deepface", "workers": workers, "detector": detector, "model": "Dlib"}, url, "", process.pid, more, seconds)


def main():
    program, seconds = str(pathlib.Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 30
    if not PEER.exists():
        raise SystemExit("DeepFace is not there: run ./setup --deepface")
    sys.path.insert(0, str(ROOT / "models"))
    from recipe import fetch
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "nobody").mkdir()
        subprocess.run([FFMPEG, "-loglevel", "error", "-f", "lavfi", "-i", "color=c=0x5a646e:s=640x360:r=1", "-frames:v", "10", folder / "nobody" / "%d.jpg"], check=True)
        kept = folder / ".deepface" / "weights"
        kept.mkdir(parents=True)
        for name, digest in WEIGHTS.items():
            path = f"face_recognition_models-0.3.0/face_recognition_models/models/{name}"
            (kept / name).write_bytes(fetch.read("PyPI face-recognition-models 0.3.0", path, digest, ROOT / "vendor" / "packages"))
        shutil.copy(ROOT / "models" / "centerface.onnx", kept)
        (folder / "models").mkdir()
        for one in (ROOT / "models").glob("*.*"):
            if one.suffix in (".onnx", ".yaml"):
                (folder / "models" / one.name).symlink_to(one)
        subprocess.run([sys.executable, ROOT / "models" / "prepare.py", "--opt-in", "dlib", "--out", folder / "models"], check=True, stdout=subprocess.DEVNULL)
        for workers in (1, 2):
            own(program, folder, "faceplugin512", workers, seconds)
            own(program, folder, "dlib", workers, seconds)
            peer(folder, "dlib", workers, seconds)
            peer(folder, "centerface", workers, seconds)


main()
